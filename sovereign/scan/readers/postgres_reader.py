"""PostgreSQL: every table that may be read, in one read-only transaction each, in the order of its
primary key, through a cursor of the server. Nothing is written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO
from urllib.parse import urlsplit

from sovereign.errors import MissingExtra
from sovereign.scan.readers.rows import Row, together
from sovereign.scan.readers.sqlite_reader import cell, made
from sovereign.scan.record import Item, Source, Unread

__all__ = ["PostgresReader", "TableSource", "tables"]

ROWS = 500
"""Rows that are held at once."""

_LISTED = """
SELECT n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT'), coalesce(
    (SELECT array_agg(a.attname ORDER BY k.place)
     FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(number, place), pg_attribute a
     WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.number),
    '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""
"""Tables, partitions and materialised views. A partitioned table itself holds nothing."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """One table. ``name`` holds no password."""

    url: str = field(repr=False)
    schema: str
    table: str
    key: tuple[str, ...] = ()
    readable: bool = True

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        return f"postgresql://{parts.hostname or ''}{parts.path}/{self.schema}.{self.table}"

    @property
    def size(self) -> None:
        return None

    def open(self) -> BinaryIO:
        """A table has no bytes of its own."""
        raise OSError


def tables(url: str) -> list[TableSource]:
    """What there is to read at ``url``. Raises :class:`MissingExtra`, and psycopg's errors if the
    server cannot be reached."""
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("psycopg", "postgres") from None
    with psycopg.connect(url, connect_timeout=10) as connection:
        connection.read_only = True
        found = connection.execute(_LISTED).fetchall()
    return [
        TableSource(url, schema, table, tuple(key), readable)
        for schema, table, readable, key in found
    ]


class PostgresReader:
    """Reads a :class:`TableSource`. ``resume`` counts rows: it is exact as long as the rows before
    it are the same."""

    name = "postgresql"

    def claims(self, name: str, head: bytes) -> bool:
        return False

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        import psycopg

        assert isinstance(source, TableSource)
        if not source.readable:
            if not resume:
                yield Unread("no permission to read this table", resume=1)
            return
        number = resume
        try:
            for item in together(_rows(source, resume)):
                number = item.resume
                yield item
        except psycopg.Error as e:  # its words may quote a row
            yield Unread(f"the server failed ({e.sqlstate or type(e).__name__})", resume=number + 1)


def _rows(source: TableSource, resume: int) -> Iterator[Row]:
    import psycopg
    from psycopg import sql

    statement = sql.SQL("SELECT * FROM {}.{}").format(
        sql.Identifier(source.schema), sql.Identifier(source.table)
    )
    order = source.key or ("ctid",)
    statement += sql.SQL(" ORDER BY ") + sql.SQL(", ").join(map(sql.Identifier, order))
    with psycopg.connect(source.url, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.cursor("scan") as cursor:
            cursor.itersize = ROWS
            cursor.execute(statement)
            if resume:
                cursor.scroll(resume)
            names = tuple(c.name for c in cursor.description or ())
            for number, cells in enumerate(cursor, resume + 1):
                values = [cell(value) for value in cells]
                make = partial(made, names, values, number, number)
                yield Row(names, values, number, number, make)
