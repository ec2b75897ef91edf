"""Parquet files, some rows of a row group at a time. A large one is cut between row groups."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from sovereign.scan.readers.bounds import seekable
from sovereign.scan.readers.cuts import Cut, spaced
from sovereign.scan.readers.rows import Row, together
from sovereign.scan.readers.sqlite_reader import cell, made
from sovereign.scan.record import Item, Source, Unread
from sovereign.scan.source import DAMAGE, Slice, line_of

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

__all__ = ["ParquetReader"]

ROWS = 500
"""Rows that are held at once."""
MISSING = "Parquet is not installed: pip install 'sovereign-toolkit[report]'"


class ParquetReader:
    """Files that start as Parquet's do. ``resume`` counts items, over all row groups; of a slice,
    from its first byte on."""

    name = "parquet"

    def claims(self, name: str, head: bytes) -> bool:
        return head.startswith(b"PAR1")

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        begin = source.begin if isinstance(source, Slice) else 0
        for number, item in enumerate(together(_rows(source)), begin + 1):
            if number > resume:
                yield item._replace(resume=number)

    def grows(self, source: Source) -> bool:
        return False

    def cuts(self, source: Source, step: int) -> list[Cut]:
        """The byte at which a row group starts, and the number of its first row."""
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile

            with seekable(source) as file:
                return spaced(_groups(ParquetFile(file).metadata), step)
        except (ImportError, ArrowException, *DAMAGE):
            return []


def _groups(table: FileMetaData) -> list[Cut]:
    """Where row groups start: in their order, however they stand in the file."""
    found: list[Cut] = []
    row = 1
    for group in map(table.row_group, range(table.num_row_groups)):
        columns = map(group.column, range(group.num_columns))
        starts = [c.dictionary_page_offset or c.data_page_offset for c in columns]
        found.append((min(starts, default=0), row))
        row += group.num_rows
    return found


def _rows(source: Source) -> Iterator[Row | Unread]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        yield Unread(MISSING)
        return
    part = source if isinstance(source, Slice) else None
    number = line_of(source) - 1
    try:
        with seekable(part.whole if part else source) as file:
            table = ParquetFile(file, buffer_size=1 << 16, pre_buffer=False)
            groups = part and [
                n
                for n, (byte, _) in enumerate(_groups(table.metadata))
                if part.begin <= byte < (part.stop or sys.maxsize)
            ]
            for batch in table.iter_batches(ROWS, row_groups=groups, use_threads=False):
                names = tuple(batch.schema.names)
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    values = [cell(value) for value in cells]
                    yield Row(names, values, number, 0, partial(made, names, values, number))
    except (ArrowException, *DAMAGE):
        yield Unread("a damaged Parquet file: what follows was not read", number=number + 1)
