"""From records to findings: the guard's recognisers over every field, and nothing kept of the text.

A field that comes in pieces is read piece by piece; where two overlap, a finding belongs to the one
in which it is not at the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sovereign.guard.body import Leaf
from sovereign.guard.scan import OVERLAP, Scanner
from sovereign.policy import Policy
from sovereign.scan.cells import Cell, label, of_record, of_rows
from sovereign.scan.finding import Finding
from sovereign.scan.known import Known, stamp
from sovereign.scan.look import HOSTED, Look, Waiting
from sovereign.scan.record import Field, Record, Rows
from sovereign.types import Destination
from sovereign.types import Finding as Seen

__all__ = ["Beside", "Finder"]

EDGE = OVERLAP // 2
"""Code points at the inner edges of a piece that the neighbour sees better."""

CALLER = "CALLER"
"""The entity of a caller's name, which goes out as a token too."""

SMALL = 1_000
"""Characters of a record's longest field, if it is looked at together with others."""
TOGETHER = 16_000
"""Characters that are looked at together."""
HELD = 500_000
"""Characters of records of which some wait to be looked at."""

Token = Callable[[str, str], str]
"""(entity, value) to a keyed token in hex."""

Beside = Callable[[Finding, str, int, int], None]
"""Told of each finding, with the text that it stands in, and from where to where."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A field, wherever its pieces are."""

    member: str
    number: int
    path: str


class Finder:
    """Findings of one file. ``token`` makes what goes out of a value; ``known`` spares lines of
    logs a second look, and None looks at all; ``beside`` is told what no finding tells."""

    def __init__(
        self,
        file: str,
        scanner: Scanner,
        policy: Policy,
        token: Token,
        to: Destination = HOSTED,
        *,
        known: Known | None = None,
        beside: Beside | None = None,
    ) -> None:
        self._file = file
        self._known = known
        self._look = Look(scanner, policy, to, known=known)
        self._acts = self._look.acts
        self._token = token
        self._beside = beside
        self._last: _Place | None = None
        self._held: list[Finding] = []
        self._small: list[tuple[Callable[[], Record], Waiting]] = []
        self._size = 0  # characters of those that have to be looked at
        self._past = 0  # and of all that came since they were

    @property
    def waiting(self) -> bool:
        """Whether findings at the end of a piece wait for what the next piece says of them."""
        return bool(self._held)

    def feed(self, item: Record | Rows) -> Iterator[Finding]:
        """What is certain after ``item``. Small records, and rows, wait for others, to be looked at
        together: how many depends on them alone."""
        if isinstance(item, Rows):
            yield from self._release()
            for row, cells in of_rows(item, self._known):
                yield from self._wait(partial(item.record, row), cells)
            yield from self._passed(item.characters)
            return
        record = item
        if _is_small(record):
            yield from self._release()
            if cells := of_record(record, self._known):
                yield from self._wait(partial(_itself, record), cells)
            yield from self._passed(sum(len(field.text) for field in record.fields))
            return
        yield from self.settle()
        whole: list[Field] = []
        for field in record.fields:
            place = _Place(record.member, record.number, field.path)
            if field.start and place == self._last:
                # The piece before this one ended in our overlap: what it saw there, we see whole.
                self._held = [f for f in self._held if f.start < field.start + EDGE]
            else:
                yield from self._release()
            whole.append(field)
            self._last = place
        yield from self._findings(record, whole)

    def flush(self) -> Iterator[Finding]:
        """What waited: nothing follows it."""
        yield from self.settle()
        yield from self._release()

    def _wait(self, make: Callable[[], Record], cells: Sequence[Cell]) -> Iterator[Finding]:
        self._small.append((make, Waiting(cells, partial(_leaves, make))))
        self._size += sum(len(cell.text) for cell in cells)
        if self._size >= TOGETHER:
            yield from self.settle()

    def _passed(self, characters: int) -> Iterator[Finding]:
        """What waits holds on to what it is a part of: not to too much."""
        self._past += characters
        if self._past >= HELD:
            yield from self.settle()

    def settle(self) -> Iterator[Finding]:
        """Look at what waits for others."""
        small, self._small, self._size, self._past = self._small, [], 0, 0
        if not small:
            return
        found = self._look.together([waiting for _, waiting in small])
        for (make, _), hits in zip(small, found, strict=True):
            if hits:
                record = make()
                for hit in hits:
                    yield from self._told(record, record.fields[hit.leaf], hit.finding, 0)

    def _release(self) -> Iterator[Finding]:
        self._last = None
        held, self._held = self._held, []
        yield from held

    def _findings(self, record: Record, fields: Sequence[Field]) -> Iterator[Finding]:
        held, self._held = self._held, []
        yield from held
        if record.unit == "line" and len(fields) == 1 and stamp(fields[0].text):
            yield from self._lines(record, fields[0])
            return
        leaves = [Leaf((i,), f.text, "text", label(f.path)) for i, f in enumerate(fields)]
        for hit in self._look.fields(leaves):
            field, found = fields[hit.leaf], hit.finding
            if field.start and found.start < EDGE:
                continue  # the piece before this one saw it, and whole
            told = self._told(record, field, found, 0)
            if len(field.text) - found.start <= EDGE and len(field.text) > OVERLAP:
                self._held += told
            else:
                yield from told

    def _lines(self, record: Record, field: Field) -> Iterator[Finding]:
        for hit, moved in self._look.lines(field.text):
            yield from self._told(record, field, hit.finding, moved)

    def _told(self, record: Record, field: Field, found: Seen, moved: int) -> Iterator[Finding]:
        """``found`` as it goes out, unless it is where a call went: that says nothing of anybody,
        and every call would have sent one."""
        call = record.call
        if call is not None and call.host and found.entity == "URL":
            value = field.text[found.start + moved : found.end + moved]
            if value.partition("://")[2] == call.host + call.endpoint:
                return
        yield self._made(record, field, found, moved)

    def _made(self, record: Record, field: Field, found: Seen, moved: int) -> Finding:
        """``found`` as it goes out; it stands in ``field`` by ``moved`` further on."""
        start, end, entity = found.start + moved, found.end + moved, found.entity
        value = field.text[start:end]
        offset = length = None
        if field.offset is not None:
            before = field.text[:start].encode(field.encoding, "surrogatepass")
            offset = field.offset + len(before)
            length = len(value.encode(field.encoding, "surrogatepass"))
        call = record.call
        number = record.number
        if record.unit == "line":  # a record may hold several of them
            number += field.text.count("\n", 0, start)
        made = Finding(
            file=self._file,
            member=record.member,
            number=number,
            unit=record.unit,
            field=field.path,
            start=field.start + start,
            end=field.start + end,
            offset=offset,
            length=length,
            entity=entity,
            score=round(found.score, 2),
            token=self._token(entity, value),
            verb=self._acts(entity).verb,
            direction=field.direction.value,
            provider=call.provider if call else None,
            host=call.host or None if call else None,
            model=call.model or None if call else None,
            endpoint=call.endpoint or None if call else None,
            caller=self._token(CALLER, call.caller) if call and call.caller else None,
            time=record.time,
        )
        if self._beside is not None:
            self._beside(made, field.text, start, end)
        return made


def _itself(record: Record) -> Record:
    return record


def _leaves(make: Callable[[], Record]) -> list[Leaf]:
    fields = make().fields
    return [Leaf((f.path, n), f.text, "text", label(f.path)) for n, f in enumerate(fields)]


def _is_small(record: Record) -> bool:
    """Rows, and lines that were taken apart; not the lines of a log as they stand."""
    fields = record.fields
    if record.unit == "line" and len(fields) == 1 and not fields[0].path:
        return False
    return all(not f.start and len(f.text) <= SMALL for f in fields)
