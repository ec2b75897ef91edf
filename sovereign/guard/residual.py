"""The last look: the exact bytes, URL and headers that are about to leave hold none of the values
that were taken out, in any decoded view. Finding one is a bug of ours: the request is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from sovereign.errors import ResidualFound
from sovereign.guard import form, views
from sovereign.guard.body import Leaf, Limits, leaves, strings
from sovereign.guard.needles import APART, Needles
from sovereign.guard.shapes import KEYS, Shape

__all__ = ["Held"]

GAP = "|"
"""In the place of what we wrote: it may stand in a JSON string, and joins no word or number."""

FEW = 100
"""So many are looked for one by one, which is faster than to compile a pattern of them."""


class Held:
    """The values that were held back in one request. ``repr`` shows how many."""

    __slots__ = ("_documents", "_like", "_limits", "_placeholders", "_shape", "_values")

    def __init__(
        self,
        values: Mapping[str, str],
        placeholders: frozenset[str],
        shape: Shape | None,
        limits: Limits,
        documents: Mapping[str | bytes, Sequence[str]] | None = None,
        like: Needles | None = None,
    ) -> None:
        """``values``: each with its entity. ``documents``: what carries a document in the outgoing
        body, and what that document says. ``like``: as for :class:`Needles`."""
        self._like = like
        self._documents = documents or {}
        self._values = values
        self._placeholders = placeholders
        self._shape = shape
        self._limits = limits

    def __repr__(self) -> str:
        return f"Held({len(self._values)} values)"

    def check(
        self, *, raw: bytes, url: str, headers: Mapping[str, str], content_type: str = ""
    ) -> None:
        """Raises :class:`ResidualFound`, which names the kind of value and the place, no more."""
        needles = Needles(self._like)
        for value, entity in self._values.items():
            needles.add(value, entity)
        if not needles:
            return
        without_ours = self._without_ours()
        lines = "\n".join([f"{name}: {value}" for name, value in headers.items()])
        if not form.is_form(content_type) and not self._documents:
            said = self._said(raw)
            if said is not None and _nothing(needles, {*said, url, lines}, without_ours):
                return
        places, texts = [], []
        for place, leaf in self._outgoing(raw, url, lines, content_type):
            for shown in views.shown(without_ours(leaf.text)):
                places.append(place)
                texts.append(shown)
        for number, _, _, entity in needles.find_in(texts):
            raise ResidualFound(
                f"a held-back {entity} is still in the outgoing {places[number]}; nothing was sent",
                hint="this is a bug of the guard: please report it without the text",
            )

    def _without_ours(self) -> Callable[[str], str]:
        """Takes what we wrote out of a text. It is no value, and nothing to decode: "[PERSON]",
        "PERSON_K7Q2MX4D"."""
        ordered = sorted(self._placeholders, key=len, reverse=True)
        if len(ordered) > FEW:
            many = re.compile("|".join(map(re.escape, ordered)))
            return lambda text: many.sub(GAP, text)

        def without(text: str) -> str:
            for placeholder in ordered:
                text = text.replace(placeholder, GAP)
            return text

        return without

    def _said(self, raw: bytes) -> set[str] | None:
        """All that a body says, structure too: it is quickly told, and mostly holds nothing. None
        if it is not JSON."""
        try:
            body = json.loads(raw.decode("utf-8", "replace"))
        except ValueError:
            return None
        keys, texts = strings(body)
        return texts | (keys if self._shape is None else keys - KEYS)

    def _outgoing(
        self, raw: bytes, url: str, lines: str, content_type: str
    ) -> Iterator[tuple[str, Leaf]]:
        body = list(self._body(raw, content_type))
        for leaf in body if self._shape is None else self._shape.free(body):
            yield "body", self._without_documents(leaf) if self._documents else leaf
        for texts in self._documents.values():
            for text in texts:
                yield "document", Leaf((), text, "text")
        yield "URL", Leaf((), url, "text")
        yield "headers", Leaf((), lines, "text")

    def _body(self, raw: bytes, content_type: str) -> Iterator[Leaf]:
        if form.is_form(content_type):
            fields = form.read(raw, content_type)
            yield from leaves(fields, self._limits)
            for held in fields.values():
                for value in held if isinstance(held, list) else [held]:
                    # A file that nobody read would be a hole in the road: look at its bytes.
                    if isinstance(value, form.Upload) and value.data not in self._documents:
                        yield Leaf((), value.data.decode("utf-8", "replace"), "text")
            return
        text = raw.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            yield Leaf((), text, "text")
        else:
            yield from leaves(body, self._limits)

    def _without_documents(self, leaf: Leaf) -> Leaf:
        """Their letters say nothing as they stand; what they spell is looked at by itself."""
        text = leaf.text
        for letters in self._documents:
            if isinstance(letters, str) and len(letters) <= len(text):
                text = text.replace(letters, "")
        return leaf if text is leaf.text else leaf._replace(text=text)


def _nothing(needles: Needles, texts: AbstractSet[str], without_ours: Callable[[str], str]) -> bool:
    """Whether it is sure that none of ``texts`` shows any of the values."""
    parts = without_ours(APART.join(texts)).split(APART)
    if len(parts) != len(texts):  # a caller may write what stands between them, too
        return False
    shown = [one for text in parts for one in views.shown(text)]
    return not any(True for _ in needles.find_in(shown))
