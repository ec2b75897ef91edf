"""How a client finds its sequencer: at first, and again after it has lost it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sovereign.audit.line import Line
from sovereign.audit.starting import Starter
from sovereign.errors import AuditError, LogUnavailable

__all__ = ["Attempt", "aside", "first_line"]

ATTEMPTS = 5

T = TypeVar("T")


class Attempt(threading.Thread):
    """One attempt to reach a sequencer, in a thread of its own. At its end there is a ``line``, and
    ``done`` is set, or there may be an ``error``."""

    def __init__(self, reach: Callable[[], Line], done: threading.Event) -> None:
        super().__init__(name="audit-client-reach", daemon=True)
        self.line: Line | None = None
        self.error: AuditError | OSError | None = None
        self._reach, self._nudge = reach, done
        self._wanted = True
        self._gate = threading.Lock()
        if not _started(self):
            self.error = LogUnavailable("audit log: no thread is left to reach the sequencer")

    def run(self) -> None:
        try:
            line = self._reach()
        except (AuditError, OSError) as e:
            self.error = e
        else:
            with self._gate:
                if self._wanted:
                    self.line = line
                    self._nudge.set()
                else:
                    line.close()

    def over(self, seconds: float) -> bool:
        """Whether it has come to its end, perhaps within ``seconds``."""
        if self.ident is not None:  # else it has never begun
            self.join(seconds)
        return not self.is_alive()

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        with self._gate:
            self._wanted = False
            if self.line is not None:
                self.line.close()


def aside(work: Callable[[T], None], given: T) -> threading.Thread:
    """``work`` in a thread of its own, if there is one left; else it is one that has ended."""
    thread = threading.Thread(target=work, args=(given,), daemon=True)
    _started(thread)
    return thread


def _started(thread: threading.Thread) -> bool:
    try:
        thread.start()
    except RuntimeError:  # this process, or its container, may have no more; later, perhaps
        return False
    return True


def first_line(folder: Path, source: str, starter: Starter | None) -> Line:
    """Raises :class:`LogUnavailable`, with what the last sequencer that did not start said."""
    why = LogUnavailable("audit log: the sequencer does not stay")
    for _ in range(ATTEMPTS):
        try:
            return Line.connect(folder, source, oldest=0, new=True)
        except OSError:
            if starter is None:
                raise LogUnavailable(
                    f"audit log: no sequencer in {folder}", hint="sovereign audit serve"
                ) from None
        # The one that was there may just have ended, or was killed while it started.
        try:
            starter.start()
        except LogUnavailable as e:
            why = e
    raise why
