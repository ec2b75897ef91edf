"""Where records rest. One module per kind of storage; all offer what is drawn here.

A storage holds a chain of logs, numbered from 1. Each but the first begins with the final
checkpoint of the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

__all__ = ["HOLD", "Logs", "Row", "Store", "StoredCheckpoint"]

Row = tuple[int, bytes, bytes]
"""Index, canonical bytes, leaf hash."""

HOLD = '"type":"log.hold"'
"""What a record of a legal hold, and no other, has in it: values hold no quotation marks."""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed note over the first ``size`` records, and the tree's frontier there."""

    size: int
    note: str
    frontier: bytes


class Store(Protocol):
    """One log. Used by one thread at a time. It stores and orders; it knows no key and no tree.

    Errors are :class:`LogUnavailable` (try again) or :class:`LogTampered`.
    """

    def batch(self, *, write: bool = True) -> AbstractContextManager[None]:
        """A transaction. With ``write`` nobody else writes until it ends, and it is durable then.
        Any exception undoes all of it."""

    def size(self) -> int:
        """One more than the greatest index."""

    def last(self) -> tuple[int, bytes] | None:
        """The greatest index, and the leaf hash that is stored there."""

    def records(self, start: int, stop: int) -> Iterator[Row]:
        """What is there from ``start`` to before ``stop``, in order."""

    def of_source(self, source: str) -> Iterator[tuple[int, bytes]]:
        """(index, bytes) of a source's records, the newest first."""

    def holds(self) -> Iterator[tuple[int, bytes]]:
        """(index, bytes) of what :data:`HOLD` marks, the oldest first."""

    def put(self, rows: Iterable[Row]) -> None:
        """Append, inside a :meth:`batch`."""

    def last_checkpoint(self, *, at_most: int | None = None) -> StoredCheckpoint | None:
        """The greatest checkpoint, or the greatest of at most ``at_most`` records."""

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Add a checkpoint, inside a :meth:`batch`."""

    def close(self) -> None:
        """Idempotent."""


class Logs(Protocol):
    """The logs of one chain."""

    def newest(self) -> int:
        """The greatest number; 1 where nothing is yet."""

    def open(self, number: int) -> Store:
        """Log ``number``, which is made if it is not there."""

    def begin(self, number: int, rows: list[Row], checkpoint: StoredCheckpoint) -> None:
        """Make log ``number`` with its first records, whole or not at all; does nothing if it is
        there."""

    def drop(self, number: int, final: str) -> None:
        """Keep ``final`` of log ``number``, and destroy its records and checkpoints."""

    def close(self) -> None:
        """Idempotent."""
