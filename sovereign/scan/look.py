"""The guard's recognisers over texts: those of one record together, or the lines of a log apart.

It says where something is, and keeps nothing. Whoever reports and whoever rewrites look the same
way, so that what is found in one is gone from the other.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sovereign.entities import DESCRIPTIONS
from sovereign.guard import resolve, views
from sovereign.guard.body import Leaf
from sovereign.guard.scan import Deadline, Hit, Scanner
from sovereign.policy import Policy
from sovereign.scan.cells import Cell
from sovereign.scan.known import Known, stamp
from sovereign.types import Action, Destination, Finding

__all__ = ["HOSTED", "Look", "Waiting"]

FOREVER = 1e12
"""A scan has no caller who waits: no deadline but the user's patience."""

HOSTED = Destination("hosted", "hosted")


class Waiting(NamedTuple):
    """A small record: the cells of it that have to be looked at, and how to make all its leaves."""

    cells: Sequence[Cell]
    leaves: Callable[[], Sequence[Leaf]]


class Look:
    """What counts under ``policy`` at ``to``. ``known`` spares lines of logs a second look, and
    None looks at all."""

    def __init__(
        self,
        scanner: Scanner,
        policy: Policy,
        to: Destination = HOSTED,
        *,
        known: Known | None = None,
    ) -> None:
        self._scanner = scanner
        self._policy = policy
        self._to = to
        self._known = known

    def acts(self, entity: str) -> Action:
        """What the policy says of an entity."""
        return self._policy.action(entity, self._to)

    def fields(self, leaves: Sequence[Leaf]) -> list[Hit]:
        """What counts in ``leaves``, and wherever a value of it recurs."""
        reads = [views.of_leaf(leaf) for leaf in leaves]
        hits = self._scanner.scan(leaves, reads, Deadline(FOREVER))
        found = resolve.resolve(leaves, reads, hits, self.acts, self._policy.counts)
        return [h for h in found.hits if not _ours(leaves[h.leaf].text, h.finding)]

    def together(self, records: Sequence[Waiting]) -> list[list[Hit]]:
        """What counts in each of many small records: the cells that have to be looked at are read
        as one text, and a record that holds something is judged as a whole."""
        plain = iter(views.plain([cell.text for one in records for cell in one.cells]))
        texts: list[tuple[int, str, str]] = []
        cells: list[Cell] = []
        apart: set[int] = set()
        for number, one in enumerate(records):
            for cell in one.cells:
                if next(plain):
                    texts.append((number, views.with_label(cell.label, cell.text), cell.text))
                    cells.append(cell)
                else:
                    apart.add(number)
        hits, across = self._scanner.scan_together(texts, Deadline(FOREVER))
        apart.update(texts[index][0] for index in across)
        found: dict[int, list[Hit]] = {}
        full: set[int] = set()
        for hit in hits:
            if self._policy.counts(hit.finding):
                full.add(hit.leaf)
                own = hit._replace(leaf=cells[hit.leaf].field)
                found.setdefault(texts[hit.leaf][0], []).append(own)
        out = [
            self.fields(one.leaves())
            if number in apart
            else self._settled(one, found[number])
            if number in found
            else []
            for number, one in enumerate(records)
        ]
        if self._known is not None:
            for index, (cell, (number, _, text)) in enumerate(zip(cells, texts, strict=True)):
                if cell.template:
                    there = index in full or any(hit.leaf == cell.field for hit in out[number])
                    constant = cell.template.endswith(f"\x00{text}")
                    self._known.learn(cell.template, text, found=there, constant=constant)
        return out

    def _settled(self, one: Waiting, hits: Sequence[Hit]) -> list[Hit]:
        leaves = one.leaves()
        leads = {cell.field: views.with_label(cell.label, cell.text) for cell in one.cells}
        reads = [
            (views.Reading(views.Mapped(leaf.text), "text", leads.get(n, "")),)
            for n, leaf in enumerate(leaves)
        ]
        found = resolve.resolve(leaves, reads, hits, self.acts, self._policy.counts)
        return [h for h in found.hits if not _ours(leaves[h.leaf].text, h.finding)]

    def lines(self, text: str) -> Iterator[tuple[Hit, int]]:
        """Hits in a block of a log's lines, and by how many characters each stands further on. When
        a line was written is nobody's data; what is known to be empty is not looked at; the others
        are read together, for speed."""
        known = self._known
        rest: list[str] = []
        places: list[tuple[int, int, str, str, int]] = []  # where it is here, there, and what
        at = there = 0
        for line in text.splitlines(keepends=True):
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
        for hit in self._apart("".join(rest), starts):
            index = bisect.bisect_right(starts, hit.finding.start) - 1
            full.add(index)
            yield hit, places[index][1] - places[index][0]
        for index, (_, _, template, line, begin) in enumerate(places):
            if known is not None and template:
                said = line[begin:]
                known.learn(template, said, found=index in full, constant=template == said)

    def _apart(self, text: str, starts: Sequence[int]) -> list[Hit]:
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
        return [h for h in resolve.disjoint([leaf], hits, self.acts) if not _ours(text, h.finding)]


_SURROGATE = re.compile(
    rf"(?<![A-Za-z0-9])(?:{'|'.join(sorted(DESCRIPTIONS, key=len, reverse=True))})_[A-Z2-7]{{8}}"
    rf"(?![A-Za-z0-9])|\[(?:{'|'.join(DESCRIPTIONS)})\]"
)
LONGEST = 80  # characters of a surrogate


def _ours(text: str, found: Finding) -> bool:
    """Whether all that was found is of surrogates and masks that the gateway wrote, or a cleaned
    copy: they look like somebody's number, and are nobody's."""
    begin = max(0, found.start - LONGEST)
    around = text[begin : found.end + LONGEST]
    if "_" not in around and "[" not in around:
        return False
    rest = list(text[found.start : found.end])
    for ours in _SURROGATE.finditer(around):
        for place in range(ours.start() + begin, ours.end() + begin):
            if found.start <= place < found.end:
                rest[place - found.start] = ""
    return not any(map(str.isalnum, rest))
