"""A client's records between submission and acknowledgement: which wait, which have a number.

A number is given in the moment a record is first sent, or kept on disk, and is then that record's
until the log has it, or has been found not to have it. All of it happens under the client's lock,
but for putting a record to what waits.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from concurrent.futures import Future
from itertools import islice

from sovereign.audit import record as records
from sovereign.audit import wire
from sovereign.audit.line import Line
from sovereign.audit.spool import Spool
from sovereign.audit.tree import leaf_hash
from sovereign.errors import AuditError, LogUnavailable, RecordRejected
from sovereign.types import Receipt

__all__ = ["Flight", "Item"]

WINDOW = 96 << 10
OVERHEAD = 768
"""What is under way has to fit into the socket's buffer, so that a send never waits: that is its
bytes, and the kernel's own for each."""


class Item:
    """A record, and who waits for it. ``data`` and ``seq`` are there once it has its number."""

    __slots__ = ("data", "failed", "future", "holds", "prepared", "seq", "since", "time")

    def __init__(
        self, prepared: bytes, stamped: bytes, future: Future[Receipt] | None, holds: bool
    ) -> None:
        self.prepared, self.time, self.future = prepared, stamped, future
        self.holds = holds
        """Something waits for it that has not happened yet: an intent."""
        self.failed = False
        """An attempt to commit has failed since it came."""
        self.since = time.monotonic()
        self.seq, self.data = -1, b""

    @property
    def cost(self) -> int:
        return len(self.prepared) + OVERHEAD

    def number(self, seq: int) -> None:
        """Give it its number, and a new time to be acknowledged in."""
        self.since = time.monotonic()
        if seq != self.seq:
            self.seq = seq
            self.data = records.stamp(self.prepared, time=self.time, seq=seq)

    def resolve(self, receipt: Receipt) -> None:
        if self.future is not None:
            self.future.set_result(receipt)
            self.future = None

    def fail(self, why: AuditError) -> bool:
        """Each caller gets an exception of its own: it is raised in different threads."""
        future, self.future = self.future, None
        if future is None:
            return False
        future.set_exception(LogUnavailable(why.message, hint=why.hint))
        return True


class Flight:
    """``acked``: how many numbers are acknowledged. ``waiting``: what has no number yet."""

    def __init__(self, spool: Spool) -> None:
        self.waiting: deque[Item] = deque()
        self.acked = 0
        self._sent: deque[Item] = deque()
        self._next = 0
        self._cost = 0
        self._spool = spool
        self._kept = 0  # the first so many of _sent are in the spool
        self._poisoned = False  # something that was sent is no record

    @property
    def pending(self) -> int:
        return len(self.waiting) + len(self._sent)

    def send(self, line: Line) -> bool:
        """Give numbers to what waits, as far as the window goes, and send it. Whether any went."""
        out = []
        while self.waiting and (not self._sent or self._cost + self.waiting[0].cost <= WINDOW):
            out.append(wire.frame(wire.RECORD, self._number(self.waiting.popleft()).data))
        if out:
            line.send(b"".join(out))
        return bool(out)

    def land(self, seq: int, index: int, count: int, log: int) -> list[tuple[Item, Receipt]]:
        """The sequencer committed ``count`` records from ``seq`` on. Whose they are."""
        landed = []
        while self._sent and self._sent[0].seq < seq + count:
            item = self._sent.popleft()
            self._cost -= item.cost
            self._kept = max(0, self._kept - 1)
            if item.seq >= seq:
                place = index + item.seq - seq
                landed.append((item, Receipt(place, leaf_hash(item.data), log)))
        self.acked = max(self.acked, seq + count)
        if not self._kept:
            self._spool.clear()
        return landed

    def park(self) -> None:
        """Keep on disk what has happened, and with it all that has a number before it: what waits,
        and what was on its way when the sequencer died."""
        # Others append meanwhile, so what waits is taken out one by one.
        taken = [self.waiting.popleft() for _ in range(len(self.waiting))]
        self.waiting.extendleft(item for item in reversed(taken) if item.holds)
        happened = [item for item in taken if not item.holds]
        if not happened and all(item.holds for item in islice(self._sent, self._kept, None)):
            return
        before = self._next, self._cost
        for item in happened:
            self._number(item)
        try:
            self._spool.add([item.data for item in islice(self._sent, self._kept, None)])
        except LogUnavailable as e:
            for item in happened:
                self._sent.pop()
                item.fail(e)
            self._next, self._cost = before
        else:
            self._kept = len(self._sent)

    def give_up(self, why: AuditError) -> None:
        """Nobody sends any more: refuse all that waits. What has a number, and is in the spool, is
        the next sequencer's all the same."""
        for item in self._sent:
            item.fail(why)
        while self.waiting:
            self.waiting.popleft().fail(why)

    def tried(self, why: AuditError, *, refuse: bool) -> int:
        """One more attempt has failed. With ``refuse`` it was the last for those who were there
        when the one before failed, since this one began after they came; they are told. Returns how
        many were."""
        waiting = [self.waiting.popleft() for _ in range(len(self.waiting))]
        again = [item for item in (*self._sent, *waiting) if item.failed and refuse]
        for item in (*self._sent, *waiting):
            item.failed = True
        refused = sum(item.fail(why) for item in again)
        # Of those that are refused before they happened there is nothing to send.
        self.waiting.extendleft(
            item for item in reversed(waiting) if not (item.holds and item.future is None)
        )
        return refused

    def stuck(self, before: float) -> bool:
        """Whether something was submitted ``before`` that moment, and is not acknowledged."""
        return bool(self._sent) and self._sent[0].since < before

    def refuse(self, why: AuditError) -> int:
        """The sequencer said why it does not take what it has not acknowledged. It may be in the
        log all the same, if what got lost was the word of a database: :meth:`resend` finds out."""
        self._poisoned |= isinstance(why, RecordRejected)
        return sum(item.fail(why) for item in self._sent)

    def resend(self, line: Line) -> tuple[int, int]:
        """Go on with a new sequencer: what the log has, it acknowledges by itself; the rest of what
        has a number is sent again, but for what was refused before it happened. Returns how many
        are, and how many were in the spool."""
        there = [item for item in self._sent if item.seq < line.next]
        again = [
            item
            for item in self._sent
            if item.seq >= line.next
            and not self._poisoned
            and not (item.holds and item.future is None)
        ]
        spooled = bool(self._kept)
        dropped = len(there) + len(again) < len(self._sent)
        self._next, self._poisoned = line.next, False
        for item in again:
            item.number(self._next)
            self._next += 1
        if not there:
            self.acked = max(self.acked, line.next)
        self._sent = deque([*there, *again])
        self._cost = sum(item.cost for item in self._sent)
        self._kept = min(self._kept, len(self._sent))
        if dropped and spooled:
            self._spool_anew(again)
        # More than the window, perhaps: but a sequencer that was just reached is reading.
        line.send(b"".join(wire.frame(wire.RECORD, item.data) for item in again))
        return len(again), self._kept

    def _spool_anew(self, again: list[Item]) -> None:
        """Their numbers are others now. What is in the log already needs no spool."""
        self._spool.clear()
        self._kept = 0
        if again:
            # If the disk takes nothing, they are on their way to the log just now all the same.
            with contextlib.suppress(LogUnavailable):
                self._spool.add([item.data for item in again])
                self._kept = len(self._sent)

    def end(self, why: AuditError) -> None:
        """Nothing more will be sent. What is in the spool stays there."""
        self.give_up(why)
        self._spool.close()

    def _number(self, item: Item) -> Item:
        item.number(self._next)
        self._next += 1
        self._cost += item.cost
        self._sent.append(item)
        return item
