"""The words around findings, for whoever holds the key: what was found is masked in them, so that
it can be judged without being told.

The files are read again: nothing that was kept by the scan could say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sovereign.guard.surrogates import mask
from sovereign.scan.finding import Finding
from sovereign.scan.readers import open_reader
from sovereign.scan.record import Unread
from sovereign.scan.source import Uncut
from sovereign.scan.state import Task
from sovereign.scan.worker import Plan, Worker
from sovereign.types import JSON

__all__ = ["AROUND", "Revealer", "place"]

AROUND = 40
"""Characters on either side."""

Place = tuple[JSON, ...]


def place(found: dict[str, JSON]) -> Place:
    """What tells a finding of a file from every other; its token too: in a file that changed
    another value stands there, which is not shown."""
    return tuple(
        found[name] for name in ("member", "number", "field", "start", "end", "entity", "token")
    )


@dataclass(slots=True)
class _Seen:
    """Findings of one record, each with the text that it stands in, and where."""

    found: list[tuple[Finding, str, int, int]]

    def __call__(self, finding: Finding, text: str, start: int, end: int) -> None:
        self.found.append((finding, text, start, end))


class Revealer:
    """Loads recognisers once."""

    def __init__(self, plan: Plan) -> None:
        self._worker = Worker(plan)

    def file(self, wanted: set[Place], slices: Sequence[Task]) -> Iterator[tuple[Place, str]]:
        """Each of ``wanted`` that still stands in a file, with its context on one line. It is read
        in the ``slices`` that it was scanned in. Raises OSError."""
        left = set(wanted)
        for task in slices:
            try:
                yield from self._slice(task, left)
            except Uncut:
                continue  # it changed
            if not left:
                return

    def _slice(self, task: Task, left: set[Place]) -> Iterator[tuple[Place, str]]:
        source = self._worker.source(task)
        reader = open_reader(source)
        if isinstance(reader, Unread):
            return
        seen = _Seen([])
        finder = self._worker.finder(task.path, beside=seen)
        for item in chain(reader.read(source, task.resume), [None]):
            if isinstance(item, Unread):
                continue
            for _ in finder.flush() if item is None else finder.feed(item):
                pass
            for finding, text, start, end in seen.found:
                at = place({n: getattr(finding, n) for n in Finding.__slots__})
                if at in left:
                    left.remove(at)
                    yield at, _context(text, start, end, finding, seen)
            seen.found.clear()
            if not left:
                return


def _context(text: str, start: int, end: int, finding: Finding, seen: _Seen) -> str:
    """The text around, without any finding in it that may not leave."""
    begin, stop = max(0, start - AROUND), min(len(text), end + AROUND)
    pieces, at = [], begin
    inside = sorted(
        (s, e, f.entity)
        for f, other, s, e in seen.found
        if other is text and (f is finding or f.verb != "allow") and e > begin and s < stop
    )
    for s, e, entity in inside:
        pieces += [text[at : max(at, s)], mask(entity)] if e > at else []
        at = max(at, e)
    said = "".join([*pieces, text[at:stop]])
    return "".join(c if c.isprintable() else " " for c in said)
