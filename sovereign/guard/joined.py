"""Joined views: the ends of neighbouring text leaves, read as one, so that a value cut in two is
whole again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sovereign.guard import nested
from sovereign.guard.body import Leaf

__all__ = ["Piece", "pieces"]

EDGE = 64
"""Characters of each leaf's end and beginning that are joined."""

_WORD = re.compile(r"[\w@.+/-]+")
_SIGNAL = re.compile(r"[\d@]")
_RUN = re.compile(r"\d[\d ./-]*\d|\d")
_FIRST = re.compile(r"-?" + _RUN.pattern)
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Piece:
    """A joined text: its parts as ``(start in text, leaf, start in leaf, length)``."""

    text: str
    parts: tuple[tuple[int, int, int, int], ...]

    def __repr__(self) -> str:
        return f"Piece({len(self.text)} characters of {len(self.parts)} leaves)"

    def origin(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Leaf and offsets of each stretch behind ``text[start:end]``; nothing if it lies in one
        part, for there it was seen already."""
        found = [
            (leaf, at + max(start, begin) - begin, at + min(end, begin + size) - begin)
            for begin, leaf, at, size in self.parts
            if start < begin + size and begin < end
        ]
        return found if len(found) > 1 else []


class _Text:
    """A text of a leaf, or of the JSON inside one, and where it begins there. What its ends look
    like is found out once for both neighbours.

    ``tail`` and ``head``: whether a word ends and begins it, and (2) one with a digit or an "@".
    ``last`` and ``first``: the runs of digits nearest to its ends; ``digit``: whether it has any.
    """

    __slots__ = ("base", "digit", "first", "head", "last", "leaf", "tail", "text")

    def __init__(self, leaf: int, text: str, base: int = 0) -> None:
        self.leaf, self.text, self.base = leaf, text, base
        self.tail = _looks(text[-EDGE:].rstrip()[::-1])
        self.head = _looks(text[:EDGE].lstrip())
        self.digit = _DIGIT.search(text) is not None
        self.first = self.last = None
        if self.digit:
            self.first = _FIRST.search(text, 0, EDGE)
            for match in _RUN.finditer(text, max(0, len(text) - EDGE)):
                self.last = match


def _looks(word: str) -> int:
    found = _WORD.match(word)
    return 0 if found is None else 1 + (_SIGNAL.search(found.group()) is not None)


def _texts(leaves: Sequence[Leaf]) -> Iterator[_Text]:
    for i, leaf in enumerate(leaves):
        if leaf.kind in ("key", "mark") or not leaf.text:
            continue
        found = nested.tokens(leaf.text) if nested.looks_nested(leaf.text) else None
        if found is None:
            yield _Text(i, leaf.text)
            continue
        for token in found:
            # A number there would need quotes, and escapes move what stands behind them.
            if not token.key and not token.bare and isinstance(token.starts, range):
                yield _Text(i, token.text, token.starts[0])


def pieces(leaves: Sequence[Leaf]) -> Iterator[Piece]:
    """Runs of neighbouring leaves whose ends look like one value, joined without a gap; and the
    number at the end of one leaf with the number at the beginning of the next, or of the one after
    if no digit stands between."""
    chain: list[tuple[_Text, int, int]] = []  # text, start, length
    before: _Text | None = None
    for left, right in pairwise(_texts(leaves)):
        if not (left.tail and right.head and left.tail + right.head > 2):
            yield from _joined(chain)
            chain = []
        else:
            if not chain:
                start = max(0, len(left.text) - EDGE)
                chain = [(left, start, len(left.text) - start)]
            chain.append((right, 0, min(EDGE, len(right.text))))
            if len(right.text) > EDGE:
                yield from _joined(chain)
                chain = []
        yield from _numbers(left, right)
        if before is not None and not left.digit:
            yield from _numbers(before, right, apart=True)
        before = left
    yield from _joined(chain)


def _joined(chain: list[tuple[_Text, int, int]]) -> Iterator[Piece]:
    """The chain; and, where a word meets a number in it, each side of that place."""
    if len(chain) < 2:
        return
    yield _join(chain)
    strict: list[tuple[_Text, int, int]] = []
    parts = 0
    for part in chain:
        if strict and _mixed(strict[-1], part):
            if len(strict) > 1:
                yield _join(strict)
            strict, parts = [], parts + 1
        strict.append(part)
    if parts and len(strict) > 1:
        yield _join(strict)


def _mixed(left: tuple[_Text, int, int], right: tuple[_Text, int, int]) -> bool:
    """Whether a letter would meet a digit."""
    (one, start, size), (other, begin, _) = left, right
    last, first = one.text[start : start + size].rstrip()[-1:], other.text[begin:].lstrip()[:1]
    return (last.isalpha() and first.isdigit()) or (last.isdigit() and first.isalpha())


def _join(chain: list[tuple[_Text, int, int]]) -> Piece:
    text, parts = "", []
    for one, start, size in chain:
        part = one.text[start : start + size]
        bare = part.strip()
        begin = start + part.index(bare) if bare else start
        parts.append((len(text), one.leaf, one.base + begin, len(bare)))
        text += bare
    return Piece(text, tuple(parts))


def _numbers(left: _Text, right: _Text, *, apart: bool = False) -> Iterator[Piece]:
    """ "… first part is 512-47" and "and the rest -3391"."""
    last, first = left.last, right.first
    if last is None or first is None:
        return
    at_edges = last.end() == len(left.text) and first.start() == 0
    if at_edges and not apart:
        return  # it is in the chain
    a, b = last.group(), first.group()
    if 8 <= sum(c.isdigit() for c in a + b) <= 19:
        parts = (
            (0, left.leaf, left.base + last.start(), len(a)),
            (len(a), right.leaf, right.base + first.start(), len(b)),
        )
        yield Piece(a + b, parts)
