"""Texts without what the policy does not let out: surrogates in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sovereign.entities import DESCRIPTIONS
from sovereign.guard.body import Leaf
from sovereign.guard.scan import Hit
from sovereign.guard.surrogates import Surrogates
from sovereign.guard.transform import quoted, value_of
from sovereign.scan.known import stamp
from sovereign.scan.look import Look
from sovereign.scan.readers.values import DECODER, LONG_NUMBER, Number, column
from sovereign.types import Action

__all__ = ["Cleaner", "Edit", "dumped"]

MANY = 20_000
"""Values of which the surrogates are remembered: they are the same when they are made anew."""

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

    def texts(self, labelled: Sequence[tuple[str, str]]) -> list[str]:
        """The (label, text) of one record, cleaned, in the same order."""
        leaves = [Leaf((n,), text, "text", label) for n, (label, text) in enumerate(labelled)]
        edits: dict[int, list[Edit]] = {}
        for hit in self._look.fields(leaves):
            if edit := self._edit(leaves, hit, 0):
                edits.setdefault(edit[0], []).append(edit[1])
        return [_applied(text, sorted(edits.get(n, ()))) for n, (_, text) in enumerate(labelled)]

    def value(self, value: Any) -> Any:
        """A JSON value, as :data:`DECODER` makes them, cleaned: equal to ``value`` if it was clean.
        A number that was somebody's is a string in it. Raises RecursionError."""
        labelled: list[tuple[str, str]] = []

        def seen(label: str, text: str) -> str:
            labelled.append((label, text))
            return text

        _visit(value, "", seen)
        new = iter(self.texts(labelled))
        return _visit(value, "", lambda label, text: next(new))

    def row(self, names: Sequence[str], cells: Sequence[Any]) -> list[Any]:
        """The cells of one row of a table, cleaned; their kinds are those of JSON values."""
        made = self.value(tuple(zip(names, cells, strict=True)))
        return [cell for _, cell in made]

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


def _applied(text: str, edits: Sequence[Edit]) -> str:
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def _visit(value: Any, label: str, each: Callable[[str, str], str]) -> Any:
    """``value`` with ``each`` of its texts, the names of objects too, in a fixed order."""
    if isinstance(value, tuple):
        return tuple((each("", name), _visit(inner, column(name), each)) for name, inner in value)
    if isinstance(value, list):
        if value and all(type(v) is str for v in value) and value[0][-1:] == "\n":
            # A text that is kept as the list of its lines, as notebooks keep theirs.
            return each(label, "".join(value)).splitlines(keepends=True)
        return [_visit(inner, label, each) for inner in value]
    if isinstance(value, Number):
        text = each(label, str(value)) if LONG_NUMBER.match(value) else value
        return value if text == value else text
    if not isinstance(value, str):
        return value
    inner = _nested(value)
    if inner is None:
        return each(label, value)
    made = _visit(inner, label, each)
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
