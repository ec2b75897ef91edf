"""Puts values back in place of their surrogates, in whole replies and, piece by piece, in streams.

Only surrogates that were issued in this one request are known here, so a reply can restore nothing
that its own request did not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from sovereign.guard import shapes
from sovereign.guard.body import KEY, rebuild
from sovereign.guard.events import EventRestorer
from sovereign.types import JSON, Path

__all__ = ["Restorer", "Stream"]


class Restorer:
    """The surrogates of one request and what they stand for. ``repr`` shows only how many.

    Models change the case of a surrogate, set it in bold, add a possessive, or escape its
    underscores for Markdown; all of these are restored.
    """

    __slots__ = ("_compiled", "_heads", "_longest", "_values")

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {surrogate.upper(): value for surrogate, value in values.items()}
        self._compiled: re.Pattern[str] | None = None
        self._heads: frozenset[str] | None = None
        self._longest = 0

    def __repr__(self) -> str:
        return f"Restorer({len(self._values)} surrogates)"

    def __len__(self) -> int:
        return len(self._values)

    @property
    def _find(self) -> re.Pattern[str] | None:
        """Made when a reply comes: most of an inspection's callers never ask."""
        if self._compiled is None and self._values:
            # Longest first, so that no surrogate is taken for the beginning of another.
            ordered = sorted(self._values, key=len, reverse=True)
            alternatives = "|".join(re.escape(s).replace("_", r"\\{0,2}_") for s in ordered)
            # ASCII: Unicode case folding would let "ſ" stand for "s".
            self._compiled = re.compile(alternatives, re.IGNORECASE | re.ASCII)
        return self._compiled

    def text(self, s: str) -> str:
        """``s`` with every surrogate replaced by its value."""
        return self._replace(s, str)

    def json_fragment(self, s: str) -> str:
        """As :meth:`text`, for the inside of a JSON string: values are escaped."""
        return self._replace(s, _escaped)

    def _replace(self, s: str, form: Callable[[str], str]) -> str:
        find = self._find
        if find is None or not s:
            return s
        return find.sub(lambda m: form(self._value(m.group())), s)

    def _value(self, surrogate: str) -> str:
        return self._values[surrogate.replace("\\", "").upper()]

    def held(self, s: str) -> int:
        """How many characters at the end of ``s`` may still become a surrogate."""
        find = self._find
        if find is None or not s:
            return 0
        if self._heads is None:
            self._heads = frozenset(v[:i] for v in self._values for i in range(1, len(v)))
            self._longest = 2 * max(map(len, self._values))
        whole = [m.span() for m in find.finditer(s)]
        for start in range(max(0, len(s) - self._longest), len(s)):
            tail = s[start:]
            if not tail.isascii() or tail[0] == "\\":
                continue
            # Not from inside a whole surrogate: its own end may look like another's beginning.
            if tail.replace("\\", "").upper() in self._heads and not any(
                a < start < b for a, b in whole
            ):
                return len(tail)
        return 0

    def tree(self, body: JSON, shape: str) -> JSON:
        """A whole reply with all its leaves restored. Raises :class:`KeyError` for no shape."""
        known = shapes.SHAPES[shape]
        if self._find is None:
            return body
        replaced: dict[Path, str] = {}
        stack: list[tuple[Path, JSON]] = [((), body)]
        while stack:
            path, value = stack.pop()
            if isinstance(value, str):
                form = self.json_fragment if known.is_fragment(path) else self.text
                new = form(value)
                if new != value:
                    replaced[path] = new
            elif isinstance(value, dict):
                for key, item in value.items():
                    stack.append(((*path, key), item))
                    new = self.text(key)
                    if new != key:
                        replaced[(*path, key, KEY)] = new
            elif isinstance(value, list):
                stack.extend(((*path, i), item) for i, item in enumerate(value))
        return rebuild(body, replaced) if replaced else body

    def stream(self, *, fragment: bool = False) -> Stream:
        """Restores one text that arrives in pieces."""
        return Stream(self, fragment)

    def events(self, shape: str) -> EventRestorer:
        """Restores the server-sent events of one reply. Raises :class:`KeyError` for no shape."""
        return EventRestorer(self, shapes.SHAPES[shape])


class Stream:
    """One text in pieces. What goes out lags behind only while its end may become a surrogate."""

    __slots__ = ("_form", "_held", "_restorer")

    def __init__(self, restorer: Restorer, fragment: bool) -> None:
        self._restorer = restorer
        self._form = restorer.json_fragment if fragment else restorer.text
        self._held = ""

    def __repr__(self) -> str:
        return f"Stream({len(self._held)} characters held)"

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        text = self._held + piece
        keep = self._restorer.held(text)
        self._held = text[len(text) - keep :]
        return self._form(text[: len(text) - keep])

    def flush(self) -> str:
        """What was held back; the text is over."""
        rest, self._held = self._held, ""
        return self._form(rest)


def _escaped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
