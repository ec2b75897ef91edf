"""Joined views: the ends of neighbouring text leaves, read as one, so that a value cut in two is
whole again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sovereign.guard.body import Leaf
from sovereign.guard.nested import looks_nested

__all__ = ["Piece", "pieces"]

EDGE = 64
"""Characters of each leaf's end and beginning that are joined."""

_TAIL = re.compile(r"[\w@.+/-]+\s*\Z")
_HEAD = re.compile(r"\s*[\w@.+/-]+")
_SIGNAL = re.compile(r"[\d@]")
_RUN = re.compile(r"\d[\d ./-]*\d|\d")


@dataclass(frozen=True, slots=True)
class Piece:
    """A joined text: its parts as ``(start in text, leaf, start in leaf, length)``."""

    text: str
    parts: tuple[tuple[int, int, int, int], ...]

    def __repr__(self) -> str:
        return f"Piece({len(self.text)} characters of {len(self.parts)} leaves)"

    def origin(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Leaf and offsets of each stretch behind ``text[start:end]``; nothing if it lies in one
        leaf, for there it was seen already."""
        found = [
            (leaf, at + max(start, begin) - begin, at + min(end, begin + size) - begin)
            for begin, leaf, at, size in self.parts
            if start < begin + size and begin < end
        ]
        return found if len(found) > 1 else []


def pieces(leaves: Sequence[Leaf]) -> Iterator[Piece]:
    """Runs of neighbouring leaves whose ends look like one value, joined without a gap; and the
    number at the end of one leaf with the number at the beginning of the next."""
    # Not nested JSON: its own marks end every value in it.
    texts = [
        (i, leaf.text)
        for i, leaf in enumerate(leaves)
        if leaf.kind not in ("key", "mark") and leaf.text and not looks_nested(leaf.text)
    ]
    chain: list[tuple[int, int, int]] = []  # leaf, start, length
    for (i, left), (j, right) in pairwise(texts):
        tail, head = _TAIL.search(left[-EDGE:]), _HEAD.match(right[:EDGE])
        cut = tail and head and (_SIGNAL.search(tail.group()) or _SIGNAL.search(head.group()))
        if not cut:
            if chain:
                yield _join(chain, leaves)
                chain = []
        else:
            if not chain:
                start = max(0, len(left) - EDGE)
                chain = [(i, start, len(left) - start)]
            whole = len(right) <= EDGE
            chain.append((j, 0, min(EDGE, len(right))))
            if not whole:
                yield _join(chain, leaves)
                start = max(EDGE, len(right) - EDGE)
                chain = []
        yield from _numbers(i, left, j, right)
    if chain:
        yield _join(chain, leaves)


def _join(chain: list[tuple[int, int, int]], leaves: Sequence[Leaf]) -> Piece:
    text, parts = "", []
    for leaf, start, size in chain:
        part = leaves[leaf].text[start : start + size]
        bare = part.strip()
        begin = start + part.index(bare) if bare else start
        parts.append((len(text), leaf, begin, len(bare)))
        text += bare
    return Piece(text, tuple(parts))


def _numbers(i: int, left: str, j: int, right: str) -> Iterator[Piece]:
    """ "… first part is 512-47" and "and the rest -3391"."""
    runs = list(_RUN.finditer(left, max(0, len(left) - EDGE)))
    last = runs[-1] if runs else None
    first = re.compile(r"-?" + _RUN.pattern).search(right, 0, EDGE)
    if last is None or first is None or (last.end() == len(left) and first.start() == 0):
        return
    a, b = last.group(), first.group()
    if 8 <= sum(c.isdigit() for c in a + b) <= 19:
        yield Piece(a + b, ((0, i, last.start(), len(a)), (len(a), j, first.start(), len(b))))
