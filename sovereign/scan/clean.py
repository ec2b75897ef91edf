"""Texts without what the policy does not let out: surrogates in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sovereign.entities import DESCRIPTIONS
from sovereign.guard.body import Leaf
from sovereign.guard.scan import Hit
from sovereign.guard.surrogates import Surrogates
from sovereign.guard.transform import quoted, value_of
from sovereign.scan.cells import Cell, is_time
from sovereign.scan.finder import SMALL, TOGETHER
from sovereign.scan.known import stamp
from sovereign.scan.look import Look, Waiting
from sovereign.scan.readers.values import DECODER, LONG_NUMBER, Number, column, named
from sovereign.types import Action

__all__ = ["Cleaner", "Edit", "dumped"]

MANY = 20_000
"""Values of which the surrogates are remembered: they are the same when they are made anew."""

FIELDS = 64
"""Texts of a value that are one record."""

Edit = tuple[int, int, str]
"""Start, end, and what is to stand there."""


class Cleaner:
    """``key`` and ``tenant`` make the surrogates: the same everywhere, and the gateway's own where
    they are the gateway's. ``replaced`` counts."""

    def __init__(self, look: Look, key: bytes, tenant: str) -> None:
        self._look = look
        self._make: Callable[[], Surrogates] = lambda: Surrogates(key, tenant, ())
        self._surrogates = self._make()
        self.replaced = 0

    def edits(self, text: str) -> list[Edit]:
        """What is to be replaced in a text, or in a log's lines, in order."""
        leaves = [Leaf((0,), text, "text", "")]
        hits = (
            self._look.lines(text) if stamp(text) else ((h, 0) for h in self._look.fields(leaves))
        )
        found = [self._edit(leaves, hit, moved) for hit, moved in hits]
        return sorted(edit for _, edit in filter(None, found))

    def text(self, text: str) -> str:
        """A text, or a log's lines, cleaned."""
        return _applied(text, self.edits(text))

    def texts(self, records: Sequence[Sequence[tuple[str, str]]]) -> list[list[str]]:
        """The (label, text) of many records, cleaned, in the same order: those that the scan looks
        at together, together."""
        out: list[list[str]] = []
        small: list[Sequence[tuple[str, str]]] = []
        size = 0
        for record in records:
            if any(len(text) > SMALL for _, text in record):
                out += self._together(small)
                small, size = [], 0
                out.append(self._record(record))
                continue
            small.append(record)
            size += sum(len(text) for _, text in record)
            if size >= TOGETHER:
                out += self._together(small)
                small, size = [], 0
        return out + self._together(small)

    def values(self, values: Sequence[Any], name: Callable[[str], str] = named) -> list[Any]:
        """JSON values, as :data:`DECODER` makes them, cleaned: equal to what they were if they were
        clean. A number that was somebody's is a string in it. Raises RecursionError."""
        records: list[list[tuple[str, str]]] = []
        for value in values:
            records.append([])
            _visit(value, "", _Taken(records[-1]), name)
        # A document is one value, and not one record: names do not recur all over it.
        cut = [
            record[at : at + FIELDS]
            for record in records
            for at in range(0, max(1, len(record)), FIELDS)
        ]
        new = iter([text for record in self.texts(cut) for text in record])
        return [_visit(value, "", lambda label, text: next(new), name) for value in values]

    def rows(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Rows of a table, cleaned; the kinds of their cells are those of JSON values."""
        made = self.values([tuple(zip(names, cells, strict=False)) for cells in rows], column)
        return [[cell for _, cell in row] for row in made]

    def _record(self, record: Sequence[tuple[str, str]]) -> list[str]:
        leaves = [_leaf(n, label, text) for n, (label, text) in enumerate(record)]
        return self._changed(leaves, self._look.fields(leaves))

    def _together(self, records: Sequence[Sequence[tuple[str, str]]]) -> list[list[str]]:
        leaves = [[_leaf(n, *one) for n, one in enumerate(record)] for record in records]
        waiting = [
            Waiting(
                [Cell(n, *one, "") for n, one in enumerate(record) if not is_time(*one)],
                partial(list, made),
            )
            for record, made in zip(records, leaves, strict=True)
        ]
        found = self._look.together(waiting)
        return [self._changed(*one) for one in zip(leaves, found, strict=True)]

    def _changed(self, leaves: Sequence[Leaf], hits: Sequence[Hit]) -> list[str]:
        edits: dict[int, list[Edit]] = {}
        for hit in hits:
            if edit := self._edit(leaves, hit, 0):
                edits.setdefault(edit[0], []).append(edit[1])
        return [_applied(leaf.text, sorted(edits.get(n, ()))) for n, leaf in enumerate(leaves)]

    def _edit(self, leaves: Sequence[Leaf], hit: Hit, moved: int) -> tuple[int, Edit] | None:
        found = hit.finding
        start, end = found.start + moved, found.end + moved
        written = leaves[hit.leaf].text[start:end]
        if self._look.acts(found.entity) is Action.ALLOW:
            return None
        if len(self._surrogates.tags) > MANY:
            self._surrogates = self._make()
        # What is masked on its way to a model has a surrogate here, too: a log that is kept is good
        # for something if it still says that two lines are about one person.
        value = written if moved else value_of(leaves[hit.leaf], hit)
        self.replaced += 1
        # A surrogate is known by its first word.
        entity = found.entity if found.entity in DESCRIPTIONS else "IDENTIFIER"
        return hit.leaf, (start, end, quoted(self._surrogates.of(entity, value), hit))


def _leaf(number: int, label: str, text: str) -> Leaf:
    return Leaf((label, number), text, "text", label)


class _Taken:
    """Writes down every text that it is given, and gives it back."""

    def __init__(self, into: list[tuple[str, str]]) -> None:
        self._into = into

    def __call__(self, label: str, text: str) -> str:
        self._into.append((label, text))
        return text


def _applied(text: str, edits: Sequence[Edit]) -> str:
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def _visit(
    value: Any, label: str, each: Callable[[str, str], str], named: Callable[[str], str]
) -> Any:
    """``value`` with ``each`` of its texts, the names of objects too, in a fixed order."""
    if isinstance(value, tuple):
        # As the scan does it: a name that a programmer wrote is a label, and any other a text.
        return tuple(
            (
                each("", name) if named(name) == "*" else name,
                _visit(inner, named(name), each, named),
            )
            for name, inner in value
        )
    if isinstance(value, list):
        if value and all(type(v) is str for v in value) and value[0][-1:] == "\n":
            # A text that is kept as the list of its lines, as notebooks keep theirs.
            return each(label, "".join(value)).splitlines(keepends=True)
        return [_visit(inner, label, each, named) for inner in value]
    if isinstance(value, Number):
        text = each(label, str(value)) if LONG_NUMBER.match(value) else value
        return value if text == value else text
    if not isinstance(value, str):
        return value
    inner = _nested(value)
    if inner is None:
        return each(label, value) if len(value) > 1 else value
    made = _visit(inner, label, each, named)
    return value if made == inner else "".join(dumped(made))


def _nested(text: str) -> Any:
    """The value that a string holds as JSON; None if it holds none."""
    if text[:1] not in ("{", "[") or text[-1:] not in "}]\n ":
        return None
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def dumped(value: Any, indent: int | None = None, depth: int = 0) -> Iterator[str]:
    """``value`` as JSON text: names may stand twice, and numbers are as they were written."""
    if isinstance(value, (tuple, list)):
        opening, closing = "{}" if isinstance(value, tuple) else "[]"
        if not value:
            yield opening + closing
            return
        between = ", " if indent is None else ",\n" + " " * indent * (depth + 1)
        yield opening if indent is None else opening + between[1:]
        for number, inner in enumerate(value):
            if number:
                yield between
            if isinstance(value, tuple):
                yield json.dumps(inner[0], ensure_ascii=False) + ": "
                inner = inner[1]
            yield from dumped(inner, indent, depth + 1)
        yield closing if indent is None else "\n" + " " * indent * depth + closing
    elif isinstance(value, Number):
        yield str(value)
    else:
        yield json.dumps(value, ensure_ascii=False)
