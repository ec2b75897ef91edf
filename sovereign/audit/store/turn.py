"""Turns between processes that write one file, so that a busy one does not starve the others.

This is a courtesy, not the lock: SQLite's own lock is what keeps writers apart, but who waits for
it sleeps and looks again, and a busy writer takes it back meanwhile. So waiting here is bounded,
and whoever waited too long goes on to SQLite's lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

__all__ = ["Turn"]

POLL_SECONDS = 0.0005
GATE, FLOOR = 0, 1
"""Two bytes of the file. Who waits for the floor holds the gate, and who has just had the floor
must pass the gate to have it again."""


class Turn:
    """A context manager. Its locks are ``fcntl`` record locks: the kernel takes them back from a
    process that dies, and a forked child does not inherit them."""

    def __init__(self, file: Path, *, patience: float) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._patience = patience

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> None:
        deadline = time.monotonic() + self._patience
        self._lock(GATE, deadline)
        self._lock(FLOOR, deadline)
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, GATE)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, FLOOR)

    def _lock(self, byte: int, deadline: float) -> None:
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            except OSError:
                if time.monotonic() >= deadline:
                    return
                time.sleep(POLL_SECONDS)
            else:
                return
