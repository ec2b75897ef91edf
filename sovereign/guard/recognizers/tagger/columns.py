"""The column rule: where most cells of a column are one kind of thing, all of its cells are.

A column of ten member numbers of which seven were seen has ten. Lines count as a table if three or
more in a row hold the same delimiter the same number of times.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from sovereign.guard.recognizers.tagger.decode import Span

__all__ = ["columns"]

_DELIMITERS = ("\t", ";", "|", ",")
_MOST = 0.5
_LEAST_ROWS = 3
_LONGEST = 120
_SCORE = 0.6


def columns(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans that the rule adds to ``spans``, which are in order and disjoint."""
    if not spans or text.count("\n") < _LEAST_ROWS - 1:
        return []
    starts = [s.start for s in spans]
    out: list[Span] = []
    for table, mark in _tables(text):
        width = text.count(mark, *table[0])
        cells = [_cells(text, line, mark) for line in table]
        for c in range(width + 1):
            out += _column(text, [row[c] for row in cells], spans, starts)
    return out


def _tables(text: str) -> Iterator[tuple[list[tuple[int, int]], str]]:
    block: list[tuple[int, int]] = []
    mark, width, at = "", 0, 0
    while at <= len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if not (block and width and text.count(mark, at, end) == width):
            if len(block) >= _LEAST_ROWS:
                yield block, mark
            block = []
            mark = next((d for d in _DELIMITERS if text.find(d, at, end) >= 0), "")
            width = text.count(mark, at, end) if mark else 0
        if width:
            block.append((at, end))
        at = end + 1
    if len(block) >= _LEAST_ROWS:
        yield block, mark


def _cells(text: str, line: tuple[int, int], mark: str) -> list[tuple[int, int]]:
    out, at = [], line[0]
    for _ in range(text.count(mark, *line)):
        cut = text.find(mark, at, line[1])
        out.append((at, cut))
        at = cut + 1
    out.append((at, line[1]))
    return out


def _column(
    text: str, cells: list[tuple[int, int]], spans: Sequence[Span], starts: list[int]
) -> Iterator[Span]:
    votes: dict[str, int] = {}
    bare, full = [], 0
    for a, b in cells:
        while a < b and not text[a].isalnum():
            a += 1
        while b > a and not text[b - 1].isalnum():
            b -= 1
        if not 1 < b - a <= _LONGEST:
            continue
        full += 1
        k = max(0, bisect_left(starts, a) - 1)
        covered, label = 0, ""
        while k < len(spans) and spans[k].start < b:
            part = min(b, spans[k].end) - max(a, spans[k].start)
            if part > covered:
                covered, label = part, spans[k].label
            k += 1
        if covered * 2 >= b - a:
            votes[label] = votes.get(label, 0) + 1
        if covered < b - a:
            bare.append((a, b))
    if not votes or full < _LEAST_ROWS:
        return
    label, count = max(votes.items(), key=lambda v: (v[1], v[0]))
    # The first row may be a header; it is no cell that speaks for or against.
    if label in ("ORG", "LOC") or count < 2 or count < _MOST * (full - 1):
        return
    header = cells[0]
    for a, b in bare:
        if header[0] <= a < header[1] and not any(ch.isdigit() for ch in text[a:b]):
            continue
        yield Span(a, b, label, _SCORE)
