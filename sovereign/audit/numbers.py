"""Which number each source's next record must have: what makes a second copy of one impossible.

A source counts its own records from 0, and the log takes them in that order only. What is in
storage is the truth; what is remembered here is a copy of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

from sovereign.audit import record as records
from sovereign.errors import RecordRejected

__all__ = ["Numbers"]


class _Storage(Protocol):
    def of_source(self, source: str) -> Iterator[tuple[int, int, bytes]]: ...


class Numbers:
    """Used by one thread."""

    def __init__(self, storage: _Storage) -> None:
        self._storage = storage
        self._next: dict[str, int] = {}

    def begin(self, source: str) -> None:
        """``source`` is new: nobody has ever used this name."""
        self._next[source] = 0

    def next(self, source: str) -> int:
        """The number that the next record of ``source`` must have."""
        if source not in self._next:
            newest = next(self._read(source), None)
            self._next[source] = 0 if newest is None else newest[0] + 1
        return self._next[source]

    def move(self, source: str, number: int) -> None:
        """A record was appended, or a gap declared: the next one has this number."""
        self._next[source] = number

    def forget(self, source: str) -> None:
        """Ask the storage next time."""
        self._next.pop(source, None)

    def since(self, source: str, seq: int) -> list[tuple[int, int, int]]:
        """(number, log, index) of what ``source`` has in the log from ``seq`` on, oldest first."""
        found = list(itertools.takewhile(lambda one: one[0] >= seq, self._read(source)))
        return found[::-1]

    def _read(self, source: str) -> Iterator[tuple[int, int, int]]:
        for log, index, data in self._storage.of_source(source):
            try:
                seq = records.read(data).seq
            except RecordRejected:
                continue
            yield seq, log, index
