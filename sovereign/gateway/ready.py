"""Whether a request would be served now: the guard's canary, the log's disk, the engines."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sovereign.errors import AuditError, SovereignError
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.siblings import Siblings
from sovereign.gateway.standing import Standing
from sovereign.gateway.workers import Workers

__all__ = ["Engine", "Readiness", "SocketEngine"]

READY_FOR_S = 1.0
"""An answer is reused for so long: its canary costs work, and anybody may ask."""

MIN_FREE = 1_000_000

DISAGREE_S = 15.0
"""Workers may have different policies for so long: each reads a new file in its own time."""


class Engine(Protocol):
    """What the gateway wants to know of a model's process."""

    @property
    def alive(self) -> bool: ...


class SocketEngine:
    """An engine that another process supervises: it lives if its socket takes a connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def alive(self) -> bool:
        """Asks now."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(0.2)
            try:
                line.connect(str(self._path))
            except OSError:
                return False
        return True


class Readiness:
    """Answers /readyz. Belongs to one event loop."""

    def __init__(
        self,
        standing: Standing,
        recorder: Recorder,
        log_folder: Path,
        engines: Mapping[str, Engine],
        workers: Workers,
        siblings: Siblings | None = None,
    ) -> None:
        self.draining = False
        self._standing = standing
        self._siblings = siblings
        self._recorder = recorder
        self._log_folder = log_folder
        self._engines = engines
        self._workers = workers
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._agreed = time.monotonic()
        self._state: dict[str, str] = {}

    async def state(self) -> tuple[bool, dict[str, str]]:
        """Whether to send requests here; and part to "ok", or to one word that says what is wrong
        with it. A policy file that is broken is said, and no reason to send none: the policy of
        before is in use."""
        parts = dict(await self._parts())
        if self._siblings is not None:
            parts["workers"] = self._agree(self._siblings)
        ready = not self.draining and all(word == "ok" for word in parts.values())
        if self.draining:
            parts["gateway"] = "draining"
        parts["policy"] = self._standing.now.policy
        if self._standing.broken:
            parts["policy_file"] = "broken"
        return ready, parts

    def _agree(self, siblings: Siblings) -> str:
        """One that is being restarted is missing for a moment, which is no reason to stop; another
        policy than ours is, for as long as a reload does not take."""
        heard = siblings.heard().values()
        if all(said["policy"] == self._standing.now.policy for said in heard):
            self._agreed = time.monotonic()
        return "ok" if time.monotonic() - self._agreed < DISAGREE_S else "disagree"

    async def _parts(self) -> dict[str, str]:
        async with self._lock:
            if time.monotonic() - self._asked > READY_FOR_S:
                self._state = {"guard": await self._guards(), "log": await self._logs()}
                for name, engine in self._engines.items():
                    self._state[f"model {name}"] = "ok" if engine.alive else "down"
                self._asked = time.monotonic()
            return self._state

    async def _guards(self) -> str:
        try:
            await self._workers.run(self._standing.now.guard.canary)
        except SovereignError as e:
            return e.code
        except Exception as e:  # noqa: BLE001 - a recogniser may raise anything
            return type(e).__name__
        return "ok"

    async def _logs(self) -> str:
        """A working log is not written to just to see that it works; one that failed is."""
        try:
            disk = os.statvfs(self._log_folder)
        except OSError:
            return "missing"
        if disk.f_flag & os.ST_RDONLY or not os.access(self._log_folder, os.W_OK):
            return "read_only"
        if disk.f_bavail * disk.f_frsize < MIN_FREE:
            return "disk_full"
        if self._recorder.failing:
            try:
                await self._recorder.probe()
            except AuditError as e:
                return e.code
        return "ok"
