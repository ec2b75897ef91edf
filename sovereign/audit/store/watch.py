"""Ends a connection whose other end does not answer: a server that hangs is one that is gone.

The server's own time limits do not help when the server is what stands still.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

__all__ = ["Watch"]

TICK_SECONDS = 0.25


class Watch:
    """Shuts the watched socket down when it was waited for too long. Whoever waits sees its end."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: tuple[int, float] | None = None
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-watch", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def over(self, descriptor: int) -> Iterator[None]:
        """Not longer than the time that was given. Does nothing inside another of its own."""
        with self._lock:
            outer, self._waiting = (
                self._waiting,
                self._waiting or (descriptor, time.monotonic() + self._seconds),
            )
        try:
            yield
        finally:
            with self._lock:
                self._waiting = outer

    def close(self) -> None:
        """Idempotent."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(TICK_SECONDS):
            with self._lock:  # while it is held, the descriptor is still what it was
                if self._waiting is None or time.monotonic() < self._waiting[1]:
                    continue
                self._cut(self._waiting[0])
                self._waiting = (self._waiting[0], float("inf"))

    @staticmethod
    def _cut(descriptor: int) -> None:
        """A duplicate is closed again; the connection itself stays its owner's to close."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
            sock.shutdown(socket.SHUT_RDWR)
