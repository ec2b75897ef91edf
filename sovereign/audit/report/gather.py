"""Reads one moment of a chain of logs for a report: verifies all of it, counts a period, proves it.

A log that fails verification is still read, as far as it can be: the report then says, before
anything else, that nothing in it is vouched for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sovereign.audit import record, verify
from sovereign.audit.history import Past, begun, logs, spanning
from sovereign.audit.note import Checkpoint, Verifier
from sovereign.audit.proof import Proof
from sovereign.audit.report.tally import DAY, HOUR, Tally, time_of
from sovereign.audit.stored import Stored, open_stored
from sovereign.audit.tree import Frontier, consistency_path, inclusion_path
from sovereign.errors import AuditError, LogTampered, RecordRejected

__all__ = ["Gathered", "Part", "Period", "Range", "Tree", "gather", "readable"]

CHUNK = 256
MOST_FAULTS = 1_000
HOURLY_DAYS = 3
"""A period of at most so many days is drawn by the hour."""


@dataclass(frozen=True, slots=True)
class Period:
    """Times as records write them (RFC 3339, UTC, milliseconds): since is in it, until is not."""

    since: str
    until: str

    def __contains__(self, time: str) -> bool:
        return self.since <= time < self.until


@dataclass(frozen=True, slots=True)
class Range:
    """Indices from ``first`` to before ``stop``; the frontier of the tree before ``first``."""

    first: int
    stop: int
    before: Frontier

    @property
    def size(self) -> int:
        return self.stop - self.first


class Tree:
    """The roots of any ranges that RFC 6962 cuts, from one pass over the leaves: of each whole
    chunk of 256 its root is kept, the leaves of others are read again."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._chunks: list[bytes] = []
        self._row: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """The next record's leaf hash."""
        self._row.append(leaf)
        if len(self._row) == CHUNK:
            self._chunks.append(Frontier().extend(self._row).root())
            self._row.clear()

    def frontier(self) -> Frontier:
        """The tree of what was added so far."""
        size = len(self._chunks) * CHUNK + len(self._row)
        rest = Frontier().extend(self._row).peaks
        return Frontier(size, (*Frontier().extend(self._chunks).peaks, *rest))

    def root_of(self, start: int, stop: int) -> bytes:
        """MTH(D[start:stop])."""
        if stop - start < CHUNK or start % CHUNK:
            return self._stored.root_of(start, stop)
        last = stop // CHUNK
        peaks = Frontier().extend(self._chunks[start // CHUNK : last]).peaks
        if last * CHUNK < stop:
            rest = (leaf for _, _, leaf in self._stored.entries(last * CHUNK, stop))
            peaks += Frontier().extend(rest).peaks
        return Frontier(stop - start, peaks).root()

    def prove(self, index: int, note: str, size: int) -> Proof:
        """As :func:`sovereign.audit.proof.prove`, without reading all leaves for each proof."""
        ((_, record, _),) = self._stored.entries(index, index + 1)
        proof = Proof(index, record, tuple(inclusion_path(self.root_of, index, size)), note)
        proof.check(self._stored.verifier)
        return proof

    def extends(self, old: int, size: int) -> tuple[bytes, ...]:
        """RFC 6962 section 2.1.2: that the tree of ``size`` begins with that of ``old``."""
        inner = 0 < old < size
        return tuple(consistency_path(self.root_of, old, size)) if inner else ()


@dataclass(slots=True)
class Part:
    """What was read of one log. ``checkpoint`` is None if there is none that can be believed;
    ``uncovered`` are records of the period that are not yet under it, and in no count."""

    past: Past
    stored: Stored
    tree: Tree
    note: str
    checkpoint: Checkpoint | None
    range: Range
    uncovered: int = 0
    oldest: str = ""
    newest: str = ""


@dataclass(slots=True)
class Gathered:
    """What was read of the logs that have the period, one or several that follow each other: all
    of the first from where the period begins, all of those between, the last to where it ends.
    ``faults`` are places of records that cannot be read; ``oldest`` is when what is left of the
    chain begins."""

    period: Period
    verification: verify.Report
    parts: list[Part]
    tally: Tally
    oldest: str = ""
    faults: list[int | str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that the report says is under signatures that were checked."""
        signed = all(part.checkpoint is not None for part in self.parts)
        return self.verification.ok and not self.faults and signed


@contextlib.contextmanager
def gather(
    folder: Path,
    verifier: Verifier,
    period: Period,
    *,
    key_from: str,
    checkpoints: Sequence[Path] = (),
    jobs: int = 1,
    progress: verify.Progress | None = None,
) -> Iterator[Gathered]:
    """Verify the whole chain in ``folder``, then read the period; what it gives is read from until
    the block ends. ``verifier`` is the first log's. Raises :class:`AuditError` if nothing can be
    read at all."""
    with contextlib.ExitStack() as stack:
        opened = [
            (past, stack.enter_context(open_stored(past.folder, past.verifier)))
            for past in spanning(folder, verifier, period.since, period.until)
        ]
        notes = [_checkpoint(stored) for _, stored in opened]
        try:
            verification = verify.verify(
                folder,
                key=str(verifier),
                key_from=key_from,
                checkpoints=checkpoints,
                jobs=jobs,
                progress=progress,
            )
        except (verify.NotALog, OSError) as e:
            raise AuditError(f"audit log: {e}") from None
        sizes = {log.log: log.size for log in verification.logs}
        hourly = _days(period) <= HOURLY_DAYS
        found = Gathered(
            period, verification, [], Tally(period.since, period.until, HOUR if hourly else DAY)
        )
        for i, ((past, stored), (note, checkpoint)) in enumerate(zip(opened, notes, strict=True)):
            part = _read(past, stored, note, checkpoint, sizes.get(past.number, 0), found)
            span = part.range
            if i:  # the period goes on from the log before
                span = Range(0, span.stop, Frontier())
            if i < len(opened) - 1:  # and into the next one
                span = Range(span.first, part.tree.frontier().size, span.before)
            part.range = span
            found.parts.append(part)
            _count(part, found)
        found.oldest = _oldest(folder, verifier, found.parts[0])
        yield found


def _checkpoint(stored: Stored) -> tuple[str, Checkpoint | None]:
    try:
        return stored.checkpoint()
    except LogTampered:
        pass  # verification says what is wrong with it
    except AuditError as e:
        if "no checkpoint" not in e.message:
            raise
    return "", None


def _read(
    past: Past,
    stored: Stored,
    note: str,
    checkpoint: Checkpoint | None,
    there: int,
    found: Gathered,
) -> Part:
    """One pass over a log with ``there`` records: its tree, and where the period is."""
    period, size = found.period, checkpoint.size if checkpoint is not None else there
    tree, finder, edges, faults = Tree(stored), _Finder(period), ["", ""], list[int]()
    for index, data, leaf in readable(stored, size, faults):
        time = time_of(data)
        finder.see(index, time, tree.frontier)
        edges = [edges[0] or time, time]
        tree.add(leaf)
    found.faults += map(past.place, sorted(set(faults)))
    span = finder.range(size, tree.frontier)
    part = Part(past, stored, tree, note, checkpoint, span, oldest=edges[0], newest=edges[1])
    for _, data, _ in readable(stored, there, [], start=size):
        part.uncovered += time_of(data) in period
    return part


def _count(part: Part, found: Gathered) -> None:
    for index, data, _ in readable(part.stored, part.range.stop, [], start=part.range.first):
        place = part.past.place(index)
        try:
            if not found.verification.ok:  # whoever changed it may have put anything there
                record.read(data)
            found.tally.add(place, data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RecordRejected):
            # Its hash is right and it is no record: verification says so.
            if place not in found.faults:
                found.faults.append(place)


def _oldest(folder: Path, verifier: Verifier, first: Part) -> str:
    left = next(past for past in logs(folder, verifier) if not past.deleted)
    if left == first.past:
        return first.oldest
    try:
        return begun(left)
    except (LogTampered, ValueError, KeyError, TypeError):
        return first.oldest


class _Finder:
    """Notes the first and last record whose time is in the period."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._range: Range | None = None
        self._empty: Range | None = None

    def see(self, index: int, time: str, before: Callable[[], Frontier]) -> None:
        if time in self._period:
            if self._range is None:
                self._range = Range(index, index + 1, before())
            else:
                self._range = Range(self._range.first, index + 1, self._range.before)
        elif self._range is None and self._empty is None and time >= self._period.until:
            self._empty = Range(index, index, before())

    def range(self, size: int, before: Callable[[], Frontier]) -> Range:
        """Where nothing is in the period, the place between the records around it."""
        return self._range or self._empty or Range(size, size, before())


def _days(period: Period) -> float:
    from datetime import datetime

    length = datetime.fromisoformat(period.until) - datetime.fromisoformat(period.since)
    return length.total_seconds() / 86_400


def readable(
    stored: Stored, stop: int, faults: list[int], *, start: int = 0
) -> Iterator[tuple[int, bytes, bytes]]:
    """Entries from ``start`` to before ``stop``. What is not what its hash says, or is missing, is
    passed over and noted in ``faults``; after :data:`MOST_FAULTS` of them reading ends."""
    while start < stop:
        try:
            for entry in stored.entries(start, stop):
                yield entry
                start = entry[0] + 1
            return
        except LogTampered as e:
            if e.index is None or len(faults) >= MOST_FAULTS:
                faults.append(start)
                return
            faults.append(e.index)
            start = e.index + 1
