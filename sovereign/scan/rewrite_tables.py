"""Cleaned copies of databases: SQLite and Parquet. What a database would do by itself when a row is
changed is not done: one that has triggers, or tables that are programs, is not copied."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import IO, Any

from sovereign.scan.clean import Cleaner
from sovereign.scan.readers.bounds import seekable
from sovereign.scan.readers.parquet_reader import MISSING, ROWS
from sovereign.scan.readers.sqlite_reader import HELD, cell
from sovereign.scan.readers.values import Number
from sovereign.scan.record import Source
from sovereign.scan.source import DAMAGE, Stream

__all__ = ["parquet", "sqlite"]


def sqlite(source: Source, out: IO[bytes], cleaner: Cleaner) -> str:
    """Why it was not copied; empty if it was. Made anew in memory, so that no old page is in
    the copy; binary values that are no text are not read, and their presence keeps it from being
    copied."""
    if Path(f"{source.name}-wal").exists() and Path(f"{source.name}-wal").stat().st_size:
        return "a write-ahead log beside it: checkpoint the database first"
    with Stream(source) as stream:
        held = stream.read(HELD + 1)
    if stream.failure or len(held) > HELD:
        return stream.failure or f"a database of over {HELD} bytes"
    try:
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
            database.deserialize(held)
            database.execute("PRAGMA trusted_schema=OFF")
            if why := _unfit(database):
                return why
            for (name,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
                " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            ).fetchall():
                if why := _table(database, name, cleaner):
                    return why
            database.execute("VACUUM")
            out.write(database.serialize())
    except sqlite3.Error:
        return "a database that is damaged, or does not take the surrogates"
    return ""


def _unfit(database: sqlite3.Connection) -> str:
    for kind, sql in database.execute("SELECT type, sql FROM sqlite_master"):
        if kind == "trigger":
            return "a database with triggers"
        if (sql or "").lstrip()[:20].upper().startswith("CREATE VIRTUAL"):
            return "a database with virtual tables, such as an index of words"
    return ""


def _table(database: sqlite3.Connection, name: str, cleaner: Cleaner) -> str:
    table = '"' + name.replace('"', '""') + '"'
    found = database.execute(f"SELECT * FROM {table}")  # noqa: S608
    names = [d[0] for d in found.description]
    try:
        database.execute(f"SELECT rowid FROM {table} LIMIT 1")  # noqa: S608
    except sqlite3.Error:
        return "a table without row numbers"
    if "rowid" in map(str.lower, names):
        return "a table whose row numbers are hidden by a column"
    quoted = ['"' + n.replace('"', '""') + '"' for n in names]
    rows = database.execute(f"SELECT rowid, * FROM {table}").fetchall()  # noqa: S608
    numbers = [number for number, *_ in rows]
    values = [[cell(value) for value in row] for _, *row in rows]
    if any(
        _binary(v, c)
        for (_, *row), cells in zip(rows, values, strict=True)
        for v, c in zip(row, cells, strict=True)
    ):
        return "a table with binary values"
    for number, cells, made in zip(numbers, values, cleaner.rows(names, values), strict=True):
        changed = [i for i, (a, b) in enumerate(zip(cells, made, strict=True)) if a != b]
        if changed:
            sets = ", ".join(f"{quoted[i]} = ?" for i in changed)
            database.execute(
                f"UPDATE {table} SET {sets} WHERE rowid = ?",  # noqa: S608
                (*(made[i] for i in changed), number),
            )
    return ""


def _binary(value: Any, read: Any) -> bool:
    return isinstance(value, bytes) and read is None


def parquet(source: Source, out: IO[bytes], cleaner: Cleaner) -> str:
    """Why it was not copied; empty if it was. Row groups are those of the batches that are held."""
    try:
        from pyarrow import ArrowException, RecordBatch, array
        from pyarrow.parquet import ParquetFile, ParquetWriter
    except ImportError:
        return MISSING
    try:
        with seekable(source) as file:
            table = ParquetFile(file, buffer_size=1 << 16, pre_buffer=False)
            schema = table.schema_arrow
            bare = (
                schema.remove_metadata()
            )  # pandas keeps an index, and others what they like there
            with ParquetWriter(out, bare, compression="zstd") as writer:
                for batch in table.iter_batches(batch_size=ROWS, use_threads=False):
                    columns = [column.to_pylist() for column in batch.columns]
                    names = batch.schema.names
                    rows = _rows(names, list(zip(*columns, strict=True)), cleaner)
                    made = [
                        array([row[n] for row in rows], type=field.type)
                        for n, field in enumerate(bare)
                    ]
                    writer.write_batch(
                        RecordBatch.from_arrays(made, schema=schema.remove_metadata())
                    )
    except (ArrowException, *DAMAGE, TypeError):
        return "a Parquet file that is damaged, or whose columns do not take the surrogates"
    return ""


def _rows(names: list[str], rows: list[tuple[Any, ...]], cleaner: Cleaner) -> list[list[Any]]:
    """What was not changed stays as it was, whatever its kind."""
    read = [[cell(value) for value in row] for row in rows]
    for row, cells in zip(rows, read, strict=True):
        if any(map(_binary, row, cells)):
            raise TypeError
    made = cleaner.rows(names, read)
    return [
        [
            value if before == after else _plain(after)
            for value, before, after in zip(row, cells, new, strict=True)
        ]
        for row, cells, new in zip(rows, read, made, strict=True)
    ]


def _plain(value: Any) -> Any:
    """A changed value as Arrow takes it. One with numbers in it would have to be put together
    again; Arrow refuses it, as it refuses a text in a column of numbers."""
    if isinstance(value, Number):
        raise TypeError
    if isinstance(value, tuple):
        return {name: _plain(inner) for name, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
