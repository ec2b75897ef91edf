"""Parquet files, some rows of a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sovereign.scan.readers.bounds import seekable
from sovereign.scan.readers.rows import Row, together
from sovereign.scan.readers.sqlite_reader import cell, made
from sovereign.scan.record import Item, Source, Unread
from sovereign.scan.source import DAMAGE

__all__ = ["ParquetReader"]

ROWS = 500
"""Rows that are held at once."""
MISSING = "Parquet is not installed: pip install 'sovereign-toolkit[report]'"


class ParquetReader:
    """Files that start as Parquet's do. ``resume`` counts items, over all row groups."""

    name = "parquet"

    def claims(self, name: str, head: bytes) -> bool:
        return head.startswith(b"PAR1")

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        for number, item in enumerate(together(_rows(source)), 1):
            if number > resume:
                yield item._replace(resume=number)


def _rows(source: Source) -> Iterator[Row | Unread]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        yield Unread(MISSING)
        return
    number = 0
    try:
        with seekable(source) as file:
            table = ParquetFile(file, buffer_size=1 << 16, pre_buffer=False)
            for batch in table.iter_batches(batch_size=ROWS, use_threads=False):
                names = tuple(batch.schema.names)
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    values = [cell(value) for value in cells]
                    yield Row(names, values, number, 0, partial(made, names, values, number))
    except (ArrowException, *DAMAGE):
        yield Unread("a damaged Parquet file: what follows was not read", number=number + 1)
