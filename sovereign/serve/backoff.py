"""How long to wait before a dead engine is started again. Pure but for the clock it is given."""

from __future__ import annotations

import time

from sovereign.types import Clock

__all__ = ["Backoff"]


class Backoff:
    """Doubles from ``first`` to ``most`` seconds; begins anew once a start has held for
    ``settled`` seconds."""

    def __init__(
        self,
        clock: Clock = time.monotonic,
        *,
        first: float = 0.5,
        most: float = 30.0,
        settled: float = 60.0,
    ) -> None:
        self._clock = clock
        self._first, self._most, self._settled = first, most, settled
        self._next = first
        self._since: float | None = None

    def started(self) -> None:
        """The engine is healthy now."""
        self._since = self._clock()

    def failed(self) -> float:
        """The engine is dead now; the seconds to wait before the next start."""
        if self._since is not None and self._clock() - self._since >= self._settled:
            self._next = self._first
        self._since = None
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait
