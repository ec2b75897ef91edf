"""How a client finds its sequencer: at first, and again after it has lost it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from sovereign.audit.line import Line
from sovereign.audit.starting import Starter
from sovereign.errors import AuditError, LogUnavailable

__all__ = ["Attempt", "first_line"]

ATTEMPTS = 5


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
        self.start()

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

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        with self._gate:
            self._wanted = False
            if self.line is not None:
                self.line.close()


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
