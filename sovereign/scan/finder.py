"""From records to findings: the guard's recognisers over every field, and nothing kept of the text.

A field that comes in pieces is read piece by piece; where two overlap, a finding belongs to the one
in which it is not at the edge.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sovereign.guard import resolve, views
from sovereign.guard.body import Leaf
from sovereign.guard.scan import OVERLAP, Deadline, Hit, Scanner
from sovereign.policy import Policy
from sovereign.scan.finding import Finding
from sovereign.scan.known import Known, stamp
from sovereign.scan.record import Field, Record
from sovereign.types import Action, Destination
from sovereign.types import Finding as Seen

__all__ = ["Finder"]

EDGE = OVERLAP // 2
"""Code points at the inner edges of a piece that the neighbour sees better."""

FOREVER = 1e12
"""A scan has no caller who waits: no deadline but the user's patience."""

CALLER = "CALLER"
"""The entity of a caller's name, which goes out as a token too."""

HOSTED = Destination("hosted", "hosted")

Token = Callable[[str, str], str]
"""(entity, value) to a keyed token in hex."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A field, wherever its pieces are."""

    member: str
    number: int
    path: str


class Finder:
    """Findings of one file. ``token`` makes what goes out of a value; ``known`` spares lines of
    logs a second look, and None looks at all."""

    def __init__(
        self,
        file: str,
        scanner: Scanner,
        policy: Policy,
        token: Token,
        to: Destination = HOSTED,
        *,
        known: Known | None = None,
    ) -> None:
        self._file = file
        self._scanner = scanner
        self._policy = policy
        self._to = to
        self._token = token
        self._known = known
        self._last: _Place | None = None
        self._held: list[Finding] = []
        self.characters = 0

    @property
    def waiting(self) -> bool:
        """Whether findings at the end of a piece wait for what the next piece says of them."""
        return bool(self._held)

    def feed(self, record: Record) -> Iterator[Finding]:
        """What is certain after ``record``."""
        whole: list[Field] = []
        for field in record.fields:
            place = _Place(record.member, record.number, field.path)
            if field.start and place == self._last:
                # The piece before this one ended in our overlap: what it saw there, we see whole.
                self._held = [f for f in self._held if f.start < field.start + EDGE]
            else:
                yield from self.flush()
            whole.append(field)
            self._last = place
        yield from self._findings(record, whole)

    def flush(self) -> Iterator[Finding]:
        """What waited: nothing follows it."""
        yield from self._held
        self._held = []

    def _findings(self, record: Record, fields: Sequence[Field]) -> Iterator[Finding]:
        held, self._held = self._held, []
        yield from held
        self.characters += sum(len(field.text) for field in fields)
        if record.unit == "line" and len(fields) == 1 and stamp(fields[0].text):
            yield from self._lines(record, fields[0])
            return
        leaves = [Leaf((i,), f.text, "text", _label(f.path)) for i, f in enumerate(fields)]
        for hit in self._found(leaves):
            field, found = fields[hit.leaf], hit.finding
            if field.start and found.start < EDGE:
                continue  # the piece before this one saw it, and whole
            made = self._made(record, field, found, 0)
            if len(field.text) - found.start <= EDGE and len(field.text) > OVERLAP:
                self._held.append(made)
            else:
                yield made

    def _found(self, leaves: Sequence[Leaf]) -> list[Hit]:
        """What counts in ``leaves``, and wherever a value of it recurs."""
        reads = [views.of_leaf(leaf) for leaf in leaves]
        hits = self._scanner.scan(leaves, reads, Deadline(FOREVER))
        return resolve.resolve(leaves, reads, hits, self._acts, self._policy.counts)

    def _found_apart(self, text: str, starts: Sequence[int]) -> list[Hit]:
        """What counts in the lines that start at ``starts``, each of them by itself: two records of
        a log that follow each other make no address."""
        leaf = Leaf((0,), text, "text", "")
        hits = [
            hit
            for hit in self._scanner.scan([leaf], [views.of_leaf(leaf)], Deadline(FOREVER))
            if self._policy.counts(hit.finding)
            and bisect.bisect_right(starts, hit.finding.start)
            == bisect.bisect_left(starts, hit.finding.end)
        ]
        return resolve.disjoint([leaf], hits, self._acts)

    def _lines(self, record: Record, field: Field) -> Iterator[Finding]:
        """Findings of a block of a log's lines. When one was written is nobody's data; what is
        known to be empty is not looked at; the others are read together, for speed."""
        known = self._known
        rest: list[str] = []
        places: list[tuple[int, int, str, str, int]] = []  # where it is here, there, and what
        at = there = 0
        for line in field.text.splitlines(keepends=True):
            begin = stamp(line)
            template = known.template(line, begin) if begin and known is not None else ""
            if known is None or not template or not known.empty(template):
                places.append((there, at, template, line, begin))
                rest.append(" " * begin + line[begin:] if begin else line)
                there += len(line)
            at += len(line)
        if not rest:
            return
        full: set[int] = set()
        starts = [place[0] for place in places]
        for hit in self._found_apart("".join(rest), starts):
            index = bisect.bisect_right(starts, hit.finding.start) - 1
            full.add(index)
            yield self._made(record, field, hit.finding, places[index][1] - places[index][0])
        for index, (_, _, template, line, begin) in enumerate(places):
            if known is not None and template:
                known.learn(template, line, begin, found=index in full)

    def _acts(self, entity: str) -> Action:
        return self._policy.action(entity, self._to)

    def _made(self, record: Record, field: Field, found: Seen, moved: int) -> Finding:
        """``found`` as it goes out; it stands in ``field`` by ``moved`` characters further on."""
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
        return Finding(
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


def _label(path: str) -> str:
    """The name next to the text, which label-anchored recognisers may use: a key or a column."""
    return path.rpartition(".")[2].partition("[")[0]
