"""SQLite files: every row of every table, and what of the write-ahead log beside one is committed.

The file is opened as unchanging and read-only, nothing of its schema that could act is run, and
nothing is written beside it. Small files are read in memory, with their log applied there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sovereign.scan.readers.lines import text_of
from sovereign.scan.readers.rows import Row, together
from sovereign.scan.readers.values import Number, row
from sovereign.scan.readers.wal import applied
from sovereign.scan.record import Item, Record, Source, Unread
from sovereign.scan.source import DAMAGE, FileSource, Stream

__all__ = ["SqliteReader", "cell", "made"]

HELD = 48_000_000
"""Bytes of a database, of its log or of a value that may be held in memory."""
MAGIC = b"SQLite format 3\0"


class SqliteReader:
    """Files that start as SQLite's do."""

    name = "sqlite"

    def claims(self, name: str, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        for number, item in enumerate(_items(source), 1):
            if number > resume:
                yield item._replace(resume=number)


def _items(source: Source) -> Iterator[Item]:
    log = _log(source)
    held = b""
    if log or not isinstance(source, FileSource):
        with Stream(source) as stream:
            held = stream.read(HELD + 1)
            failure = stream.failure
        if failure:
            yield Unread(failure)
        if len(held) > HELD or len(log) > HELD:
            held = b""
            if log:
                yield Unread("a large write-ahead log beside it: checkpoint the database first")
        if not held and not isinstance(source, FileSource):
            yield Unread("a database inside something else, too large to be held in memory")
            return
    try:
        with contextlib.closing(_opened(source, held, log)) as database:
            yield from _tables(database)
    except (sqlite3.Error, *DAMAGE):
        yield Unread("a damaged database: what follows was not read")


def _log(source: Source) -> bytes:
    """The write-ahead log; of a large one only that there is one."""
    if not isinstance(source, FileSource):
        return b""
    beside = Path(f"{source.path}-wal")
    try:
        with beside.open("rb") as file:
            return file.read(HELD + 1)
    except OSError:
        return b""


def _opened(source: Source, held: bytes, log: bytes) -> sqlite3.Connection:
    if held:
        database = sqlite3.connect(":memory:")
        database.deserialize(applied(held, log))
    else:
        place = quote(str(Path(source.name).absolute()))
        database = sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, HELD)
    database.text_factory = lambda value: text_of(value)[0]
    for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _tables(database: sqlite3.Connection) -> Iterator[Item]:
    found = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
    )
    for name, sql in found.fetchall():
        if (sql or "").lstrip()[:20].upper().startswith("CREATE VIRTUAL"):
            continue  # what it holds lies in tables of its own, which are read
        try:
            yield from together(_rows(database, name), name)
        except (sqlite3.Error, OverflowError):
            yield Unread("a damaged table: the rest of it was not read", member=name)


def _rows(database: sqlite3.Connection, table: str) -> Iterator[Row | Unread]:
    quoted = '"' + table.replace('"', '""') + '"'
    # Only a statement that is made of the table's own name: nothing else can be in it.
    found = database.execute(f"SELECT * FROM {quoted}")  # noqa: S608
    names = tuple(d[0] for d in found.description)
    blobs: dict[str, int] = {}
    for number, cells in enumerate(found, 1):
        values = [cell(value) for value in cells]
        if bytes in map(type, cells):
            for name, value, read in zip(names, cells, values, strict=True):
                if isinstance(value, bytes) and read is None:
                    blobs[name] = blobs.get(name, 0) + 1
        yield Row(names, values, number, 0, partial(made, names, values, number))
    for count in blobs.values():
        yield Unread(f"{count} binary values of one column", member=table)


def made(names: Sequence[str], cells: Sequence[Any], number: int, resume: int = 0) -> Record:
    """A row of a database as a record."""
    read = row(names, cells)
    return Record(number, "row", read.fields, resume, "", read.call, read.time)


def cell(value: Any) -> Any:
    """A value of a database as a row holds it: text, a number, or what JSON has; None for what
    holds no text."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, (bytes, memoryview)):
        return _bytes(bytes(value))
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float, Decimal)):
        return Number(value)
    if isinstance(value, dict):
        return tuple((str(name), cell(inner)) for name, inner in value.items())
    if isinstance(value, (list, tuple, set)):
        return [cell(inner) for inner in value]
    return str(value)


def _bytes(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
