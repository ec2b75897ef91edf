"""Several workers behind one listener: starts them, restarts what dies, and ends them together.

A worker is a process of its own, spawned and never forked; a crash takes only its own requests.
The supervisor answers nothing itself: it holds the listener, the engines and a place in the log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign.config import Config
from sovereign.errors import ConfigError, SovereignError

__all__ = ["Supervisor"]

LOGGER = logging.getLogger("sovereign.gateway")
START_S = 60.0
POLL_S = 0.1
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
STABLE_S = 60.0
"""Whoever lived so long starts again without a wait if it dies."""
GRACE_S = 5.0


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wait_s: float = 0.0
    again_at: float = 0.0


class Supervisor:
    """``sockets`` says where the engine of each ``[models.NAME]`` listens."""

    def __init__(
        self,
        config: Config,
        listener: socket.socket,
        sockets: Mapping[str, Path],
        count: int,
    ) -> None:
        self._config = config
        self._listener = listener
        self._sockets = sockets
        self._workers = [_Worker(number) for number in range(count)]
        self._signals: list[int] = []

    def run(self, ready: Callable[[], None]) -> None:
        """Until SIGTERM or SIGINT. ``ready`` is called once all workers take requests. Raises
        :class:`SovereignError` if one cannot start at first."""
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        caught = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {s: signal.signal(s, self._caught) for s in caught}
        signal.set_wakeup_fd(woken)
        try:
            with tempfile.TemporaryDirectory(prefix="sovereign-") as folder:
                try:
                    for worker in self._workers:
                        self._spawn(worker, Path(folder))
                    for worker in self._workers:
                        self._await(worker)
                    ready()
                    self._watch(Path(folder), wake)
                finally:
                    self._end()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(woken)

    def _caught(self, number: int, _: object) -> None:
        self._signals.append(number)

    def _watch(self, folder: Path, wake: int) -> None:
        while True:
            if select.select([wake], [], [], POLL_S)[0]:
                os.read(wake, 64)
            while self._signals:
                number = self._signals.pop(0)
                if number != signal.SIGHUP:
                    return
                for worker in self._workers:
                    self._signal(worker, signal.SIGHUP)
            now = time.monotonic()
            for worker in self._workers:
                if worker.process is None:
                    if now >= worker.again_at:
                        self._spawn(worker, folder)
                elif (status := worker.process.poll()) is not None:
                    self._died(worker, status, now)

    def _died(self, worker: _Worker, status: int, now: float) -> None:
        lived = now - worker.started
        longer = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * worker.wait_s))
        worker.wait_s = 0.0 if lived > STABLE_S else longer
        worker.again_at = now + worker.wait_s
        self._forget(worker)
        LOGGER.error(
            "worker %d ended with status %d; it is started again in %.1f s",
            worker.number,
            status,
            worker.wait_s,
        )

    def _spawn(self, worker: _Worker, folder: Path) -> None:
        fd = self._listener.fileno()
        worker.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sovereign.gateway.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(fd,),
            start_new_session=True,  # Ctrl-C is for us; we tell them
        )
        worker.started = time.monotonic()
        assert worker.process.stdin is not None
        told = {
            "config": self._config.model_dump(mode="json"),
            "file": str(self._config.file),
            "fd": fd,
            "worker": worker.number,
            "workers": len(self._workers),
            "folder": str(folder),
            "sockets": {name: str(path) for name, path in self._sockets.items()},
        }
        # Its end stays open for as long as we live: a worker without a supervisor ends.
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.write(json.dumps(told).encode() + b"\n")
            worker.process.stdin.flush()

    def _await(self, worker: _Worker) -> None:
        assert worker.process is not None
        said = _first_line(worker.process, START_S)
        if said.get("ready"):
            return
        message = str(said.get("message", f"worker {worker.number} did not start"))
        kind = ConfigError if said.get("code") == ConfigError.code else SovereignError
        raise kind(message, hint=str(said.get("hint", "")))

    def _end(self) -> None:
        """All of them at once, each with its time to drain; then by force."""
        for worker in self._workers:
            self._signal(worker, signal.SIGTERM)
        gateway = self._config.gateway
        until = time.monotonic() + gateway.drain_delay_s + gateway.drain_s + GRACE_S
        while any(w.process is not None and w.process.poll() is None for w in self._workers):
            hurry = bool(self._signals)
            self._signals.clear()
            for worker in self._workers:
                if time.monotonic() > until and worker.process is not None:
                    worker.process.kill()
                elif hurry:
                    self._signal(worker, signal.SIGTERM)
            time.sleep(POLL_S / 2)
        for worker in self._workers:
            self._forget(worker)

    def _signal(self, worker: _Worker, number: int) -> None:
        if worker.process is not None:
            worker.process.send_signal(number)

    def _forget(self, worker: _Worker) -> None:
        if worker.process is None:
            return
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        worker.process.wait()
        worker.process = None


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    assert process.stdout is not None
    line, until = b"", time.monotonic() + seconds
    while not line.endswith(b"\n") and (left := until - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            part = os.read(process.stdout.fileno(), 4096)
            if not part:
                break
            line += part
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    return {}
