"""A stretch of text that spells something else, and what it spells."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

__all__ = ["Kinds", "Make", "Segment", "kept", "whole"]


@dataclass(frozen=True, slots=True)
class Segment:
    """``text`` stands for the outer text's ``[start, end)``; each of its characters has a place."""

    start: int
    end: int
    kind: str
    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def __repr__(self) -> str:
        return f"Segment({self.kind}, {self.start}, {self.end})"


def whole(match: re.Match[str], kind: str, text: str) -> Segment:
    """A segment whose every character is carried by the whole stretch."""
    start, end = match.span()
    return Segment(start, end, kind, text, [start] * len(text), [end] * len(text))


def kept(match: re.Match[str], kind: str, places: Sequence[int]) -> Segment:
    """Some characters of the stretch, each in its own place."""
    text = "".join(match.string[i] for i in places)
    return Segment(match.start(), match.end(), kind, text, places, [i + 1 for i in places])


Make = Callable[[re.Match[str]], Segment | None]
"""What a match spells; ``None`` if it spells nothing."""


class Kinds:
    """Ways of writing, each a pattern, with signs of which one stands in every match."""

    def __init__(self, kinds: Sequence[tuple[tuple[str, ...], re.Pattern[str], Make]]) -> None:
        self._kinds = [(pattern, make) for _, pattern, make in kinds]
        signs: dict[str, list[int]] = {}
        for i, (given, _, _) in enumerate(kinds):
            for sign in given:
                signs.setdefault(sign, []).append(i)
        marks: dict[str, list[tuple[str, list[int]]]] = {}
        for sign, places in signs.items():
            marks.setdefault("" if sign[0] == " " else sign[0], []).append((sign, places))
        self._plain = tuple(marks.pop("", ()))
        self._marked = {mark: tuple(group) for mark, group in marks.items()}

    def __repr__(self) -> str:
        return f"Kinds({len(self._kinds)})"

    def find(self, text: str, marks: Set[str]) -> list[Segment]:
        """Every stretch of ``text`` that is written so. They may overlap. ``marks`` are the
        characters of ``text`` but for letters, digits, spaces, commas and full stops."""
        possible: list[int] = []
        for sign, kinds in self._plain:
            if sign in text:
                possible += kinds
        for mark in self._marked.keys() & marks:
            for sign, kinds in self._marked[mark]:
                if sign in text:
                    possible += kinds
        found: list[Segment] = []
        for i in sorted(set(possible)):
            pattern, make = self._kinds[i]
            found += filter(None, map(make, pattern.finditer(text)))
        return found
