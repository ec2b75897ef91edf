"""A stretch of text that spells something else, and what it spells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Segment", "kept", "whole"]


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
