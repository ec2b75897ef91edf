"""Cells with the head of their column: delimited lines under a line of names, Markdown's tables,
and the rows of SQL's INSERT. Finds nothing by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

__all__ = ["cells"]

_DELIMITERS = "\t;|,"
_HEAD = re.compile(r"[\s\"'`]*[^\W\d_][\w .\-/()#'\"`]{0,40}[\s\"'`]*")
_RULE = re.compile(r"[\s|:+=-]*-[\s|:+=-]*")
_CELL = {
    mark: re.compile(
        rf'\s*(?:"(?P<q>(?:[^"\n]|"")*)"|(?P<p>[^{re.escape(mark)}\n]*))(?:{re.escape(mark)}|$)',
        re.MULTILINE,
    )
    for mark in _DELIMITERS
}  # fmt: skip
_INSERT = re.compile(
    r"\binsert\s+into\s+[\w.\"`\[\]]{1,80}\s*\((?P<names>[^()]{1,2000})\)\s*values\s*",
    re.IGNORECASE,
)
_ROW = re.compile(r"\s*,?\s*\((?P<row>(?:'(?:[^']|'')*'|[^()'])*)\)")
_VALUE = re.compile(r"\s*(?:N?'(?P<q>(?:[^']|'')*)'|(?P<p>[^,']*))(?:,|$)")

Span = tuple[int, int]
Wanted = Callable[[Sequence[str]], list[bool]]
"""Which of a table's heads are wanted."""


def cells(text: str, wanted: Wanted) -> Iterator[tuple[str, int, int]]:
    """The head and place of each cell whose column's head is ``wanted``."""
    if "\n" in text:
        yield from _delimited(text, wanted)
    if "VALUES" in text or "values" in text:
        yield from _inserted(text, wanted)


def _delimited(text: str, wanted: Wanted) -> Iterator[tuple[str, int, int]]:
    heads: list[str] = []
    mark, at = "", 0
    for line in text.splitlines(keepends=True):
        start, end = at, at + len(line.rstrip("\r\n"))
        at += len(line)
        if heads and text.count(mark, start, end) >= len(heads) - 1:
            if _RULE.fullmatch(text, start, end) is not None:
                continue
            spans = _split(text, mark, start, end)
            if len(spans) == len(heads):
                for head, (a, b) in zip(heads, spans, strict=True):
                    if head and a < b:
                        yield head, a, b
                continue
        heads = []
        mark = next((m for m in _DELIMITERS if text.find(m, start, end) >= 0), "")
        if not mark or end - start > 2000:
            continue
        names = [text[a:b].strip() for a, b in _split(text, mark, start, end)]
        inner = names[1:-1] if mark == "|" else names
        full = len(inner) > 1 and all(inner)  # not "a," and "b," below each other
        if full and all(map(_HEAD.fullmatch, inner)) and any(chosen := wanted(names)):
            heads = [name if wish else "" for name, wish in zip(names, chosen, strict=True)]


def _split(text: str, mark: str, start: int, end: int) -> list[Span]:
    """Where the cells of a line are, without their quotes."""
    found: list[Span] = []
    at = start
    while at <= end:
        match = _CELL[mark].match(text, at, end)
        if match is None:
            return []
        found.append(match.span("q") if match["q"] is not None else match.span("p"))
        if match.end() == end and not text.endswith(mark, start, end):
            break
        if match.end() >= end:
            found.append((end, end))
            break
        at = match.end()
    return found


def _inserted(text: str, wanted: Wanted) -> Iterator[tuple[str, int, int]]:
    for insert in _INSERT.finditer(text):
        heads = [name.strip(" \t\n\r\"'`[]") for name in insert["names"].split(",")]
        chosen = wanted(heads)
        if not any(chosen):
            continue
        at = insert.end()
        while (row := _ROW.match(text, at)) is not None:
            at, (place, end) = row.end(), row.span("row")
            for head, wish in zip(heads, chosen, strict=True):
                value = _VALUE.match(text, place, end)
                if value is None:
                    break
                a, b = value.span("q") if value["q"] is not None else value.span("p")
                if a < b and wish:
                    yield head, a, b
                place = value.end()
