"""Rows of tables, put together where nothing sets one apart: a row that tells of a call, that holds
JSON or a long text, or whose columns have names that are texts themselves stays a record.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sovereign.scan.readers.calls import judge, may_tell
from sovereign.scan.readers.values import LONG_NUMBER, Number, column
from sovereign.scan.record import CELL, Item, Record, Rows, Unread

__all__ = ["Row", "together"]

ROWS = 256
"""Rows that are handed out at once."""
LONGEST = 1_000
"""Characters of a row that is put together with others."""


class Row(NamedTuple):
    """One row: the names of its columns, its cells as :func:`~sovereign.scan.readers.values.row`
    takes them, the record that it makes by itself, and where to go on after it."""

    names: tuple[str, ...]
    cells: Sequence[Any]
    number: int
    resume: int
    make: Callable[[], Record]


def together(rows: Iterable[Row | Unread], member: str = "") -> Iterator[Item]:
    """``rows`` as few items. Where one ends depends on the rows since the last one ended."""
    texts: list[str] = []
    numbers: list[int] = []
    makes: list[Callable[[], Record]] = []
    names: tuple[str, ...] = ()
    resume = 0

    def waiting() -> Iterator[Rows]:
        if texts:
            yield Rows(_paths(names), texts[:], numbers[:], makes[:], resume, member)
            for held in (texts, numbers, makes):
                held.clear()

    try:
        for row in rows:
            if isinstance(row, Unread):
                yield from waiting()
                yield row
                continue
            if row.names != names:
                yield from waiting()
                names = row.names
            text = _text(names, row.cells)
            if text is None:
                yield from waiting()
                yield row.make()._replace(member=member)
                continue
            texts.append(text)
            numbers.append(row.number)
            makes.append(row.make)
            resume = row.resume
            if len(texts) >= ROWS:
                yield from waiting()
    except Exception:
        yield from waiting()  # what came before is not lost
        raise
    yield from waiting()


def _text(names: tuple[str, ...], cells: Sequence[Any]) -> str | None:
    """A row as :class:`Rows` holds it; None if it is one by itself."""
    try:
        text = CELL.join(cells if Number not in map(type, cells) else map(_plain, cells))
    except TypeError:
        try:
            text = CELL.join(map(_plain, cells))
        except TypeError:
            return None  # a list or an object
    if len(text) > LONGEST or text.count(CELL) != len(names) - 1 or "\x1e" in text:
        return None
    if ("{" in text or "[" in text) and any(cell[:1] in _NESTED for cell in text.split(CELL)):
        return None
    if not (text.isascii() or _encodes(text)):
        return None
    telling = _telling(names)
    if telling is None or (telling and judge(dict(zip(names, cells, strict=True)))):
        return None
    return text


_NESTED = ("{", "[")


def _plain(cell: Any) -> Any:
    """A cell as text: a number that is handed out, or none."""
    if cell is None:
        return ""
    return cell if type(cell) is not Number or LONG_NUMBER.match(cell) else ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@functools.lru_cache(256)
def _paths(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(column, names))


@functools.lru_cache(256)
def _telling(names: tuple[str, ...]) -> bool | None:
    """Whether a row of these columns may tell of a call; None if a name is a text of its own."""
    return None if "*" in _paths(names) else may_tell(names)
