"""Whether a request would be served now: the guard's canary, the log's disk, the engines."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sovereign.errors import AuditError, SovereignError
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.workers import Workers
from sovereign.guard import Guard

__all__ = ["Engine", "Readiness"]

READY_FOR_S = 1.0
"""An answer is reused for so long: its canary costs work, and anybody may ask."""

MIN_FREE = 1_000_000


class Engine(Protocol):
    """What the gateway wants to know of a model's process."""

    @property
    def alive(self) -> bool: ...


class Readiness:
    """Answers /readyz. Belongs to one event loop."""

    def __init__(
        self,
        guard: Guard,
        recorder: Recorder,
        log_folder: Path,
        engines: Mapping[str, Engine],
        workers: Workers,
    ) -> None:
        self._guard = guard
        self._recorder = recorder
        self._log_folder = log_folder
        self._engines = engines
        self._workers = workers
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._state: dict[str, str] = {}

    async def state(self) -> dict[str, str]:
        """Part to "ok", or to one word that says what is wrong with it."""
        async with self._lock:
            if time.monotonic() - self._asked > READY_FOR_S:
                self._state = {"guard": await self._guards(), "log": await self._logs()}
                for name, engine in self._engines.items():
                    self._state[f"model {name}"] = "ok" if engine.alive else "down"
                self._asked = time.monotonic()
            return self._state

    async def _guards(self) -> str:
        try:
            await self._workers.run(self._guard.canary)
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
