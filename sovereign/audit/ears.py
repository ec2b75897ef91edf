"""Who takes what a sequencer says: its client's own thread, or an event loop that was lent an ear.

A loop that waits for the log anyway is woken by the acknowledgement itself, instead of by a thread
that had to be woken first. But a loop may be busy, or over: the thread looks now and then, and what
it finds to be waiting, it takes, and the ear with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sovereign.audit.line import Line
from sovereign.errors import AuditError

__all__ = ["Ear", "Ears"]

T = TypeVar("T")


@dataclass(eq=False, frozen=True, slots=True)
class Ear:
    """The right to take what comes over a line, until somebody else takes it back. ``descriptor``
    is readable when there is something; it is the holder's to close."""

    line: Line
    descriptor: int


class Ears(Generic[T]):
    """There is one ear at most. ``take`` receives from a line, and is called by one thread at a
    time; what it raises ends the line, and is the client's thread's to hear."""

    def __init__(self, take: Callable[[Line], list[T]], nudge: threading.Event) -> None:
        """``nudge`` wakes the client's thread."""
        self.reading = threading.Lock()
        """Held by whoever receives, and to be held by whoever closes a line."""
        self._take = take
        self._nudge = nudge
        self._ear: Ear | None = None
        self._ended: tuple[Line, AuditError | OSError] | None = None

    def lend(self, line: Line) -> Ear | None:
        """None if it is lent already, or cannot be: the line has ended, or there is no descriptor.
        With the lock that keeps ``line`` open."""
        if self._ear is not None or self._ended is not None:
            return None
        try:
            self._ear = Ear(line, line.duplicate())
        except OSError:  # no descriptor is left: the thread goes on listening
            return None
        return self._ear

    def hear(self, ear: Ear) -> list[T] | None:
        """What came, perhaps nothing; None if the ear is not the caller's any more."""
        if not self.reading.acquire(blocking=False):
            return [] if self._ear is ear else None  # the thread is just at it
        try:
            return self._take(ear.line) if self._ear is ear else None
        except (AuditError, OSError) as e:
            self._ended, self._ear = (ear.line, e), None
            self._nudge.set()
            return None
        finally:
            self.reading.release()

    def take_back(self) -> None:
        """From here on the client's thread listens."""
        self._ear = None
        self._nudge.set()

    def listen(self, line: Line, seconds: float) -> list[T]:
        """In the client's thread: what comes within ``seconds``, if nobody else takes it. Raises
        what ended the line, whoever heard it."""
        lent = self._ear
        if lent is not None:
            self._nudge.wait(seconds)
            self._nudge.clear()
        else:
            line.wait(seconds)
        with self.reading:
            ended, self._ended = self._ended, None
            if ended is not None and ended[0] is line:
                raise ended[1]
            taken = self._take(line)
            if taken and self._ear is lent:
                self._ear = None  # it was not heard: whoever has it may be gone
            return taken
