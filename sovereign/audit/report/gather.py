"""Reads one moment of a log for a report: verifies all of it, counts a period, keeps its proofs.

A log that fails verification is still read, as far as it can be: the report then says, before
anything else, that nothing in it is vouched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sovereign.audit import verify
from sovereign.audit.note import Checkpoint, Verifier
from sovereign.audit.proof import Proof
from sovereign.audit.report.tally import DAY, HOUR, Tally, time_of
from sovereign.audit.stored import Stored
from sovereign.audit.tree import Frontier, consistency_path, inclusion_path
from sovereign.errors import AuditError, LogTampered

__all__ = ["Gathered", "Period", "Range", "Tree", "gather", "range_of", "readable"]

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
class Gathered:
    """What was read. ``checkpoint`` is None if there is none that can be believed; ``covered``
    records are under it, and only those are counted unless verification failed."""

    period: Period
    verification: verify.Report
    stored: Stored
    tree: Tree
    note: str
    checkpoint: Checkpoint | None
    range: Range
    tally: Tally
    uncovered: int = 0
    oldest: str = ""
    newest: str = ""
    faults: list[int] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that the report says is under a signature that was checked."""
        return self.verification.ok and not self.faults and self.checkpoint is not None


def gather(
    stored: Stored,
    folder: Path,
    verifier: Verifier,
    period: Period,
    *,
    key_from: str,
    checkpoints: Sequence[Path] = (),
    jobs: int = 1,
    progress: verify.Progress | None = None,
) -> Gathered:
    """Verify the whole log, then read the period. Raises :class:`AuditError` if nothing can be
    read at all."""
    note, checkpoint = "", None
    try:
        note, checkpoint = stored.checkpoint()
    except LogTampered:
        pass  # verification says what is wrong with it
    except AuditError as e:
        if isinstance(e, LogTampered) or "no checkpoint" not in e.message:
            raise
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
    size = checkpoint.size if checkpoint is not None else verification.size
    faults: list[int] = []
    tree, found, edges = Tree(stored), _Finder(period), ["", ""]
    for index, data, leaf in readable(stored, size, faults):
        time = time_of(data)
        found.see(index, time, tree.frontier)
        edges = [edges[0] or time, time]
        tree.add(leaf)
    in_range = found.range(size, tree.frontier)
    tally = _tally(stored, period, in_range, faults)
    uncovered = 0
    for _, data, _ in readable(stored, verification.size, [], start=size):
        uncovered += time_of(data) in period
    return Gathered(
        period,
        verification,
        stored,
        tree,
        note,
        checkpoint,
        in_range,
        tally,
        uncovered,
        oldest=edges[0],
        newest=edges[1],
        faults=sorted(set(faults)),
    )


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


def range_of(stored: Stored, period: Period, size: int) -> Range:
    """The indices of the period among the first ``size`` records. Raises :class:`LogTampered`."""
    found, frontier = _Finder(period), Frontier()
    for index, data, _ in stored.entries(0, size):
        found.see(index, time_of(data), lambda: frontier)
    return found.range(size, lambda: frontier)


def _tally(stored: Stored, period: Period, which: Range, faults: list[int]) -> Tally:
    hourly = period.since[:DAY] and _days(period) <= HOURLY_DAYS
    tally = Tally(period.since, period.until, HOUR if hourly else DAY)
    for index, data, _ in readable(stored, which.stop, faults, start=which.first):
        try:
            tally.add(index, data)
        except (ValueError, KeyError, TypeError, AttributeError):
            faults.append(index)  # its hash is right and it is no record: verification says so
    return tally


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
