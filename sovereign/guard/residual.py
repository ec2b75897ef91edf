"""The last look: the exact bytes, URL and headers that are about to leave hold none of the values
that were taken out, in any decoded view. Finding one is a bug of ours: the request is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from sovereign.errors import ResidualFound
from sovereign.guard import views
from sovereign.guard.body import Leaf, Limits, leaves
from sovereign.guard.needles import Needles
from sovereign.guard.shapes import Shape

__all__ = ["Held"]


class Held:
    """The values that were held back in one request. ``repr`` shows how many."""

    __slots__ = ("_limits", "_placeholders", "_shape", "_values")

    def __init__(
        self,
        values: Mapping[str, str],
        placeholders: frozenset[str],
        shape: Shape | None,
        limits: Limits,
    ) -> None:
        """``values``: each with its entity."""
        self._values = values
        self._placeholders = placeholders
        self._shape = shape
        self._limits = limits

    def __repr__(self) -> str:
        return f"Held({len(self._values)} values)"

    def check(self, *, raw: bytes, url: str, headers: Mapping[str, str]) -> None:
        """Raises :class:`ResidualFound`, which names the kind of value and the place, no more."""
        needles = Needles()
        for value, entity in self._values.items():
            needles.add(value, entity)
        if not needles:
            return
        # What we wrote ourselves is no value: "[PERSON]", "PERSON_K7Q2MX4D".
        ordered = sorted(self._placeholders, key=len, reverse=True)
        ours = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        for place, leaf in self._outgoing(raw, url, headers):
            for reading in views.of_leaf(leaf):
                text = reading.mapped.text
                if ours is not None:
                    text = ours.sub("\n", text)
                for _, _, entity in needles.find(text):
                    raise ResidualFound(
                        f"a held-back {entity} is still in the outgoing {place}; nothing was sent",
                        hint="this is a bug of the guard: please report it without the text",
                    )

    def _outgoing(
        self, raw: bytes, url: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[str, Leaf]]:
        text = raw.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            yield "body", Leaf((), text, "text")
        else:
            for leaf in leaves(body, self._limits):
                if self._shape is None or not self._shape.structural(leaf):
                    yield "body", leaf
        yield "URL", Leaf((), url, "text")
        for name, value in headers.items():
            yield "headers", Leaf((), name, "text")
            yield "headers", Leaf((), value, "text")
