"""A log that never ends, as a chain of logs that do: rotation by period or size.

A log ends with a ``log.end`` record under a final checkpoint. The next one's first record holds
that checkpoint, so each log vouches for the one before it. Its origin is the first one's with its
number: a checkpoint of one log can never be taken for another's.

Ending and beginning are two durable steps. Whoever finds a log that has ended, and no next one,
makes it: the process that died in between is not missed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sovereign.audit import record as records
from sovereign.audit.anchor import Anchor
from sovereign.audit.note import Checkpoint, Signer, b64, open_checkpoint, split_note
from sovereign.audit.recover import recover
from sovereign.audit.sequencer import END, Ended, Landed, Position, Sequencer
from sovereign.audit.store import Logs, Row, Store, StoredCheckpoint
from sovereign.audit.store.folders import folder_of, numbers_in
from sovereign.audit.tree import Frontier, leaf_hash
from sovereign.errors import LogTampered, LogUnavailable
from sovereign.types import Clock

__all__ = ["NEVER", "Chain", "Every", "Rotation", "name_of", "standing_holds"]

Every = Literal["month", "quarter", "year", "never"]


MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log ends: with its period (UTC), or once it has so many records."""

    every: Every = "never"
    records: int = 2**62

    def period(self, now: Clock) -> int:
        """A number for the period that it is; it only grows."""
        if self.every == "never":
            return 0
        moment = datetime.fromtimestamp(now(), UTC)
        return (moment.year * 12 + moment.month - 1) // MONTHS[self.every]


NEVER = Rotation()


def name_of(origin: str, number: int) -> str:
    """The origin of log ``number`` in a chain that began as ``origin``."""
    return origin if number == 1 else f"{origin}/{number}"


class Chain:
    """What :class:`Sequencer` offers, over all logs of a chain. Used by one thread."""

    def __init__(
        self,
        logs: Logs,
        folder: Path,
        *,
        key: bytes,
        origin: str,
        source: str,
        clock: Clock,
        rotation: Rotation = Rotation(),
    ) -> None:
        """Open the newest log. ``folder`` holds each log's anchor. Raises as
        :meth:`sovereign.audit.log.Log.open` does."""
        self._logs, self._folder = logs, folder
        self._key, self._origin, self._source, self._clock = key, origin, source, clock
        self._rotation = rotation
        self.vkey = str(Signer.from_seed(origin, key).verifier)
        self._store: Store | None = None
        try:
            newest, seen = logs.newest(), numbers_in(folder)[-1]
            if newest < seen:  # an anchor is newer than the storage
                raise LogTampered(
                    f"log {seen} was signed, and the newest in the storage is log {newest}",
                    hint="an old copy was put back; `sovereign audit verify` says more",
                )
            self._enter(newest, 0)
            self._ended = self._has_ended()
            if self._ended:
                self._move_on()
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> Position:
        """Where the newest log stands."""
        return self._sequencer.position

    def commit(
        self, prepared: Sequence[bytes], finished: Sequence[bytes] = (), *, sign: bool = False
    ) -> Landed:
        """As :meth:`Sequencer.commit`, in the log that is :attr:`number` on return. Ends a log
        whose time has come."""
        if not self._ended and (reason := self._due()):
            self.rotate(reason)
        while True:
            if self._ended:
                self._move_on()
            try:
                return self._sequencer.commit(prepared, finished, sign=sign)
            except Ended:
                self._ended = True

    def publish(self) -> None:
        """As :meth:`Sequencer.publish`."""
        self._sequencer.publish()

    def due_in(self) -> float | None:
        """As :meth:`Sequencer.due_in`."""
        return self._sequencer.due_in()

    def rotate(self, reason: str = "asked") -> int:
        """End this log and begin the next, whose number it returns. If another process has just
        ended it, that is enough. Raises :class:`LogUnavailable`; it may have ended then."""
        if not self._ended:
            end = records.event("log.end", next=self.number + 1, reason=reason)
            with contextlib.suppress(Ended):
                self._sequencer.commit([records.prepare(end, source=self._source)], sign=True)
            self._ended = True
        self._move_on()
        return self.number

    def of_source(self, source: str) -> Iterator[tuple[int, int, bytes]]:
        """(log, index, bytes) of a source's records in the newest log and the one before, the
        newest first. A source that was silent through a whole log is gone."""
        for index, data in self._open_store.of_source(source):
            yield self.number, index, data
        if self.number == 1:
            return
        before = self._logs.open(self.number - 1)
        try:
            for index, data in before.of_source(source):
                yield self.number - 1, index, data
        finally:
            before.close()

    def holds(self) -> dict[str, dict[str, str]]:
        """The legal holds that stand, by name."""
        return standing_holds(data for _, data in self._open_store.holds())

    def drop(self, number: int, final: str) -> None:
        """Destroy a log's records but for ``final``. The caller has recorded that."""
        self._logs.drop(number, final)

    def close(self) -> None:
        """Idempotent."""
        if self._store is not None:
            self._store.close()
        self._logs.close()

    @property
    def _open_store(self) -> Store:
        assert self._store is not None
        return self._store

    def _due(self) -> str | None:
        if self.position.frontier.size >= self._rotation.records:
            return "size"
        return "period" if self._rotation.period(self._clock) > self._begun else None

    def _enter(self, number: int, seq: int) -> None:
        """Open log ``number``, compared with what was last signed; ``seq`` is our next number."""
        folder = folder_of(self._folder, number)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise LogUnavailable(f"audit log: cannot make {folder}: {e.strerror}") from None
        signer = Signer.from_seed(name_of(self._origin, number), self._key)
        anchor = Anchor(folder, signer.verifier)
        anchor.check_key()
        published = anchor.newest()  # before the storage is read: it may only grow
        store = self._logs.open(number)
        try:
            frontier, covered = recover(store, published, signer.verifier)
            anchor.pin_key()
            size = frontier.size
            if number > 1 and not size:
                raise LogTampered(f"log {number} has lost its first record", index=0)
            first = next(store.records(0, 1), None)
            last = next(store.records(size - 1, size), None)
            if number > 1:  # what we wrote while we began it
                seq += sum(1 for _ in store.of_source(self._source))
            signed = store.last_checkpoint()
            if signed and (published is None or published.size < signed.size):
                anchor.publish(signed.note, signed.size)
        except BaseException:
            store.close()
            raise
        if self._store is not None:
            self._store.close()
        self.number, self._store, self._signer, self._ended = number, store, signer, False
        self._begun = self._rotation.period(_time_of(first[1]) if first else self._clock)
        position = Position(frontier, covered, seq, last[2] if last else None)
        self._sequencer = Sequencer(
            store, anchor, signer, position, source=self._source, clock=self._clock
        )

    def _has_ended(self) -> bool:
        size = self.position.frontier.size
        last = next(self._open_store.records(size - 1, size), None)
        return last is not None and END in last[1]

    def _move_on(self) -> None:
        """To the log after this one, which has ended; to the newest, if there are more."""
        while self._ended:
            position, number = self.position, self.number + 1
            if self._logs.newest() < number:
                self._logs.begin(number, *self._first(number))
            self._publish_quietly()
            self._enter(number, position.seq)
            self._ended = self._has_ended()

    def _publish_quietly(self) -> None:
        """The database has the final checkpoint; the file is for people."""
        try:
            self._sequencer.publish()
        except LogUnavailable:
            return

    def _first(self, number: int) -> tuple[list[Row], StoredCheckpoint]:
        """The first records of log ``number``, and the checkpoint over them."""
        final = self._open_store.last_checkpoint()
        if final is None or final.size != self.position.frontier.size:
            raise LogTampered(f"log {self.number} has ended, but its end is not signed")
        signed = open_checkpoint(final.note, self._signer.verifier)
        (signature,) = (s for n, s in split_note(final.note)[1] if n == self._signer.name)
        begin = records.event(
            "log.begin",
            log=number,
            previous=signed.origin,
            size=signed.size,
            root=signed.root.hex(),
            signature=b64(signature),
        )
        held = [
            records.event("log.hold", name=name, action="stands", **when)
            for name, when in self.holds().items()
        ]
        now, rows = records.stamp_time(self._clock()), []
        for index, one in enumerate([begin, *held]):
            prepared = records.prepare(one, source=self._source)
            data = records.stamp(prepared, time=now, seq=self.position.seq + index)
            rows.append((index, data, leaf_hash(data)))
        frontier = Frontier().extend(leaf for _, _, leaf in rows)
        signer = Signer.from_seed(name_of(self._origin, number), self._key)
        note = signer.sign(str(Checkpoint(signer.name, frontier.size, frontier.root())))
        return rows, StoredCheckpoint(frontier.size, note, frontier.pack())


def standing_holds(found: Iterator[bytes]) -> dict[str, dict[str, str]]:
    """Name to the time that is held (``since``, ``until``, each if given), from the ``log.hold``
    records of one log, the oldest first."""
    holds: dict[str, dict[str, str]] = {}
    for data in found:
        hold = json.loads(data)
        if hold["action"] == "release":
            holds.pop(hold["name"], None)
        else:
            holds[hold["name"]] = {k: hold[k] for k in ("since", "until") if k in hold}
    return holds


def _time_of(data: bytes) -> Clock:
    return datetime.fromisoformat(json.loads(data)["time"]).timestamp
