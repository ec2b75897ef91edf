"""The short texts of records and of tables' rows: which of them have to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sovereign.scan.known import Known, stamp
from sovereign.scan.readers.when import NAMES
from sovereign.scan.record import CELL, Record, Rows

__all__ = ["Cell", "is_time", "label", "of_record", "of_rows"]

SHORT = 200
"""Characters of a text that may be known by its template."""


class Cell(NamedTuple):
    """A short text. ``field`` is its place in its record, ``label`` the name that it stands under,
    ``template`` what it may be known by next time; empty if by nothing."""

    field: int
    label: str
    text: str
    template: str


def label(path: str) -> str:
    """The name next to the text, which label-anchored recognisers may use: a key or a column."""
    return path.rpartition(".")[2].partition("[")[0]


def is_time(name: str, text: str) -> bool:
    """Whether a text under a name that says so is when something was written, as in a log: that is
    nobody's data."""
    return name in NAMES and stamp(text) == len(text)


def of_record(record: Record, known: Known | None) -> list[Cell]:
    """The texts of a record, but for times, and for what is known to be empty under its path."""
    found: list[Cell] = []
    for number, (path, text, *_) in enumerate(record.fields):
        name = label(path)
        if is_time(name, text):
            continue
        template = ""
        if known is not None and len(text) <= SHORT:
            template = known.field(path, text)
            if known.empty(template):
                continue
        found.append(Cell(number, name, text, template))
    return found


def of_rows(rows: Rows, known: Known | None) -> Iterator[tuple[int, list[Cell]]]:
    """The same of rows that have such texts: place and texts."""
    names = tuple(map(label, rows.paths))
    if known is None:
        for place, text in enumerate(rows.texts):
            if cells := _cells(rows.paths, names, text, "", None):
                yield place, cells
        return
    for place, (text, template) in enumerate(zip(rows.texts, known.rows(rows.texts), strict=True)):
        if known.row_empty(rows.paths, template):
            continue
        if cells := _cells(rows.paths, names, text, template, known):
            yield place, cells
        else:
            known.learn_row(rows.paths, template)


def _cells(
    paths: tuple[str, ...], names: tuple[str, ...], row: str, templates: str, known: Known | None
) -> list[Cell]:
    found: list[Cell] = []
    field = -1
    texts = row.split(CELL)
    for path, name, text, template in zip(
        paths, names, texts, templates.split(CELL) if known is not None else texts, strict=True
    ):
        if len(text) < 2:
            continue
        field += 1
        if is_time(name, text):
            continue
        own = ""
        if known is not None and len(text) <= SHORT:
            own = f"{path}\x00{template}"
            if known.empty(own):
                continue
        found.append(Cell(field, name, text, own))
    return found
