"""Joined views: the ends of neighbouring text leaves, read as one, so that a value cut in two is
whole again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from sovereign.guard import nested
from sovereign.guard.body import Leaf

__all__ = ["Piece", "Step", "steps"]

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


class Step(NamedTuple):
    """From one text to the next: what is joined there. ``name`` stands for the texts that it
    depends on; None if it cannot be told."""

    name: bytes | None
    pieces: list[Piece]


class _Text(NamedTuple):
    """A text of a leaf, or of the JSON inside one, and where it begins there. ``name`` stands for
    all of it, if it is long enough for a chain to end at it."""

    leaf: int
    text: str
    base: int = 0
    name: bytes | None = None

    def __repr__(self) -> str:
        return f"_Text({len(self.text)} characters)"


class _Side(NamedTuple):
    """What one end of a text looks like. ``word``: whether a word is there, and (2) one with a
    digit or an "@"; ``run``: the digits that are nearest."""

    word: int
    run: re.Match[str] | None


def _beginning(text: str) -> _Side:
    return _Side(_looks(text[:EDGE].lstrip()), _FIRST.search(text, 0, EDGE))


def _ending(text: str) -> _Side:
    runs = list(_RUN.finditer(text, max(0, len(text) - EDGE)))
    return _Side(_looks(text[-EDGE:].rstrip()[::-1]), runs[-1] if runs else None)


def _looks(word: str) -> int:
    found = _WORD.match(word)
    return 0 if found is None else 1 + (_SIGNAL.search(found.group()) is not None)


def _texts(leaves: Sequence[Leaf], names: Sequence[bytes | None]) -> Iterator[_Text]:
    for i, leaf in enumerate(leaves):
        _, text, kind, _ = leaf
        if kind in ("key", "mark") or not text:
            continue
        name = names[i]
        if name is not None:  # plain, so no JSON
            long = len(text) > EDGE
            yield _new(_Text, (i, text, 0, _KINDS[kind] + name if long else None))
            continue
        found = nested.tokens(text) if nested.looks_nested(text) else None
        if found is None:
            yield _Text(i, text)
            continue
        for token in found:
            # A number there would need quotes, and escapes move what stands behind them.
            if not token.key and not token.bare and isinstance(token.starts, range):
                yield _Text(i, token.text, token.starts[0])


_new: Final = tuple.__new__  # in half the time
_KINDS = {"text": b"t", "number": b"n"}


def steps(
    leaves: Sequence[Leaf],
    names: Sequence[bytes | None],
    known: Callable[[bytes], bool],
) -> Iterator[Step]:
    """From each text to the next: runs of neighbouring leaves whose ends look like one value,
    joined without a gap; and the number at the end of one leaf with the number at the beginning of
    the next, or of the one after if no digit stands between.

    ``names`` runs parallel to ``leaves``: a hash of each that is plain text, as far as it has one.
    A step whose name is ``known`` is left out.
    """
    chain: list[tuple[_Text, int, int]] = []  # text, start, length
    before: _Text | None = None
    for left, right in pairwise(_texts(leaves, names)):
        name = _name(before, left, right)
        if name is None or not known(name):
            end, begin = _ending(left.text), _beginning(right.text)
            made = list(_chained(chain, left, right, end.word, begin.word))
            made += _numbers(left, right, end.run, begin.run)
            if before is not None and _DIGIT.search(left.text) is None:
                made += _numbers(before, right, _ending(before.text).run, begin.run, apart=True)
            yield Step(name, made)
        before = left
    yield Step(None, list(_joined(chain)))


def _name(before: _Text | None, left: _Text, right: _Text) -> bytes | None:
    """Stands for all that the step from ``left`` to ``right`` depends on. Both are longer than what
    is joined of them, so a chain begins with the one and ends with the other."""
    if left.name is None or right.name is None:
        return None
    if before is None:
        return left.name + right.name
    return None if before.name is None else before.name + left.name + right.name


def _chained(
    chain: list[tuple[_Text, int, int]], left: _Text, right: _Text, tail: int, head: int
) -> Iterator[Piece]:
    """What the step to ``right`` ends; ``chain`` is what goes on."""
    if not (tail and head and tail + head > 2):
        yield from _joined(chain)
        chain.clear()
        return
    if not chain:
        start = max(0, len(left.text) - EDGE)
        chain.append((left, start, len(left.text) - start))
    chain.append((right, 0, min(EDGE, len(right.text))))
    if len(right.text) > EDGE:
        yield from _joined(chain)
        chain.clear()


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


def _numbers(
    left: _Text,
    right: _Text,
    last: re.Match[str] | None,
    first: re.Match[str] | None,
    *,
    apart: bool = False,
) -> Iterator[Piece]:
    """ "… first part is 512-47" and "and the rest -3391"."""
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
