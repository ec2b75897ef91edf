"""The guard's end of the reading process: started when first needed, killed when late, never
trusted.

Blocking; the guard calls it in a thread. One document at a time per process, ``count`` processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import Empty, LifoQueue
from typing import Any

from sovereign.errors import Unreadable
from sovereign.guard.documents.frames import pack, unpack
from sovereign.guard.documents.limits import DocumentLimits

__all__ = ["Readers"]

START_S = 20.0
LIVES = 200
"""Documents before a process is replaced, so that what a parser leaks does not pile up."""


class Readers:
    """A few reading processes. :meth:`close` ends them; so does this process's own end."""

    def __init__(self, limits: DocumentLimits, count: int = 1) -> None:
        self._limits = limits
        self._idle: LifoQueue[_Process | None] = LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._all: set[_Process] = set()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Readers({len(self._all)} running)"

    def ask(self, head: dict[str, Any], data: bytes) -> tuple[Any, bytes]:
        """The answer to one frame. Raises :class:`Unreadable` if it is late or the process dies;
        then the process is gone, and the next document gets another."""
        end = time.monotonic() + self._limits.seconds
        with self._one(end) as process:
            asked = {**head, "limits": dataclasses.asdict(self._limits)}
            return process.ask(pack(asked, data), end)

    @contextlib.contextmanager
    def _one(self, end: float) -> Iterator[_Process]:
        try:
            process = self._idle.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            raise _late(self._limits.seconds) from None
        try:
            if process is None or not process.usable():
                self._forget(process)
                process = _Process(self._limits.memory)
                with self._lock:
                    self._all.add(process)
            yield process
        except (OSError, EOFError, ValueError):
            self._forget(process)
            process = None
            raise Unreadable(
                "a document's reader died on it, so it cannot be sent",
                hint="send it in another format, or without the document",
            ) from None
        except BaseException:
            self._forget(process)
            process = None
            raise
        finally:
            self._idle.put(process)

    def _forget(self, process: _Process | None) -> None:
        if process is not None:
            process.kill()
            with self._lock:
                self._all.discard(process)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            for process in self._all:
                process.kill()
            self._all.clear()


class _Process:
    def __init__(self, memory: int) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "sovereign.guard.documents.worker", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # No secrets of ours: it reads what strangers send.
            env={k: v for k, v in os.environ.items() if k in _PASSED} | {"PYTHONSAFEPATH": "1"},
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._in, self._out = self._child.stdin.fileno(), self._child.stdout.fileno()
        os.set_blocking(self._in, False)
        self._served = 0
        head, _ = unpack(self._reader(time.monotonic() + START_S))
        self.isolated = bool(head.get("isolated"))

    def usable(self) -> bool:
        return self._served < LIVES and self._child.poll() is None

    def ask(self, frame: bytes, end: float) -> tuple[Any, bytes]:
        self._served += 1
        view = memoryview(frame)
        while view:
            _, ready, _ = select.select([], [self._in], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise _late(None)
            view = view[os.write(self._in, view[: 1 << 16]) :]
        return unpack(self._reader(end))

    def _reader(self, end: float) -> Any:
        def exactly(count: int) -> bytes:
            pieces, left = [], count
            while left:
                ready, _, _ = select.select([self._out], [], [], max(0.0, end - time.monotonic()))
                if not ready:
                    raise _late(None)
                piece = os.read(self._out, min(left, 1 << 20))
                if not piece:
                    raise EOFError
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces)

        return exactly

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


_PASSED = frozenset({"PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "PYTHONPATH", "VIRTUAL_ENV"})


def _late(seconds: float | None) -> Unreadable:
    bound = f" within {seconds:g} seconds" if seconds else " in time"
    return Unreadable(
        f"a document could not be read{bound}, so it cannot be sent",
        hint="[documents] seconds in sovereign.toml",
    )
