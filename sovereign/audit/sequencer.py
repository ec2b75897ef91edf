"""Gives records of one log their order: a durable transaction per call, and checkpoints over it.

No threads and no waiting here: :mod:`.chain` calls it. Other processes may append to the same
storage; each transaction first reads what they added.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sovereign.audit import record as records
from sovereign.audit.anchor import Anchor
from sovereign.audit.note import Checkpoint, Signer
from sovereign.audit.recover import checked_leaves
from sovereign.audit.store import Store, StoredCheckpoint
from sovereign.audit.tree import Frontier, leaf_hash
from sovereign.errors import AuditError, LogTampered, LogUnavailable
from sovereign.types import Clock, Receipt

__all__ = ["END", "Ended", "Landed", "Position", "Sequencer"]

CHECKPOINT_RECORDS = 1024
CHECKPOINT_SECONDS = 1.0
END = b'"type":"log.end"'
"""What the last record of a log that has ended, and no other, has in it."""


class Ended(Exception):
    """The log takes no more records: it has been rotated. Nothing was appended."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the log stands. Replaced as a whole, once a transaction is durable.

    ``covered`` is the size of the last checkpoint, ``seq`` the number of this source's next record,
    ``last`` the leaf hash of the newest record, where known.
    """

    frontier: Frontier
    covered: int
    seq: int = 0
    last: bytes | None = None


class Landed(NamedTuple):
    """What a transaction appended: its first record's index, and the leaf hash of each."""

    first: int
    leaves: list[bytes]

    def receipts(self, log: int) -> list[Receipt]:
        """One for each, in log number ``log``."""
        return [Receipt(index, leaf, log) for index, leaf in enumerate(self.leaves, self.first)]


class Sequencer:
    """Appends for one source. Used by one thread."""

    def __init__(
        self,
        store: Store,
        anchor: Anchor,
        signer: Signer,
        position: Position,
        *,
        source: str,
        clock: Clock,
    ) -> None:
        self.position = position
        self._store = store
        self._anchor = anchor
        self._signer = signer
        self._source = source
        self._clock = clock
        self._unpublished: StoredCheckpoint | None = None
        self._tried_at = -CHECKPOINT_SECONDS

    def commit(
        self, prepared: Sequence[bytes], finished: Sequence[bytes] = (), *, sign: bool = False
    ) -> Landed:
        """Append prepared records of this source, then finished ones of others, in this order; they
        are durable on return, or none is there.

        A checkpoint goes into the same transaction if one is due, or if ``sign``. Raises
        :class:`LogUnavailable`, :class:`LogTampered` if the storage changed under us, or
        :class:`Ended`.
        """
        now = records.stamp_time(self._clock())
        signed: StoredCheckpoint | None = None
        try:
            with self._store.batch():
                position = self._caught_up()
                first, seq = position.frontier.size, position.seq
                data = [
                    *(
                        records.stamp(template, time=now, seq=seq + offset)
                        for offset, template in enumerate(prepared)
                    ),
                    *finished,
                ]
                leaves = [leaf_hash(one) for one in data]
                self._store.put(zip(range(first, first + len(data)), data, leaves, strict=True))
                frontier = position.frontier.extend(leaves)
                newest = leaves[-1] if leaves else position.last
                position = Position(frontier, position.covered, seq + len(prepared), newest)
                if self._due(position, sign=sign):
                    signed = self._signed(frontier)
                    self._store.put_checkpoint(signed)
                    position = replace(position, covered=frontier.size)
        except BaseException:
            self._tried_at = time.monotonic()
            raise
        self.position = position
        if signed is not None:
            self._tried_at = time.monotonic()
            self._unpublished = signed
        return Landed(first, leaves)

    def publish(self) -> None:
        """Write the checkpoint file, if there is a new checkpoint. Raises :class:`LogUnavailable`.

        The database has it already, so no record waits for this; what fails is tried again.
        """
        if self._unpublished is None:
            return
        try:
            self._anchor.publish(self._unpublished.note, self._unpublished.size)
        except (AuditError, OSError) as e:
            self._tried_at = time.monotonic()
            raise LogUnavailable(f"audit log: the checkpoint file was not written: {e}") from e
        self._unpublished = None

    def due_in(self) -> float | None:
        """Seconds until :meth:`commit` and :meth:`publish` have something to do even if nobody
        appends; None if they will not."""
        if self._unpublished is None and self.position.covered == self.position.frontier.size:
            return None
        return max(0.0, self._tried_at + CHECKPOINT_SECONDS - time.monotonic())

    def _caught_up(self) -> Position:
        """Our position, moved over what other processes have appended since."""
        position, newest = self.position, self._store.last()
        size = newest[0] + 1 if newest else 0
        if size < position.frontier.size:
            raise LogTampered("the audit log became shorter while in use", index=size)
        at = position.frontier.size
        # A database that was put back to a copy, and appended to by others since, is not shorter.
        if position.last is not None:
            if size > at:
                before = next(self._store.records(at - 1, at), None)
                newest = before and (before[0], before[2])
            if newest is None or newest[1] != position.last:
                raise LogTampered(f"record {at - 1} was replaced while in use", index=at - 1)
        if size == at:
            return position
        rows = list(self._store.records(position.frontier.size, size))
        frontier = position.frontier.extend(checked_leaves(rows, position.frontier.size))
        # After a commit that failed half way the disk may hold records that nobody was promised.
        mine = b'"source":"%s"' % self._source.encode()
        seq = position.seq + sum(mine in data for _, data, _ in rows)
        last = self._store.last_checkpoint()
        moved = Position(frontier, last.size if last else 0, seq, rows[-1][2])
        if END in rows[-1][1]:
            self.position = moved
            raise Ended
        return moved

    def _due(self, position: Position, *, sign: bool) -> bool:
        uncovered = position.frontier.size - position.covered
        return uncovered > 0 and (
            sign
            or uncovered >= CHECKPOINT_RECORDS
            or time.monotonic() - self._tried_at >= CHECKPOINT_SECONDS
        )

    def _signed(self, frontier: Frontier) -> StoredCheckpoint:
        checkpoint = Checkpoint(self._signer.name, frontier.size, frontier.root())
        note = self._signer.sign(str(checkpoint))
        return StoredCheckpoint(frontier.size, note, frontier.pack())
