"""Tables as text: CSV and its like. Each row is a record, each cell a field that has the name of
its column.

Quotes that nobody closed make the rest of a file one cell: it is read as text from there on.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from functools import partial

from sovereign.scan.readers.cuts import Cut, cuts
from sovereign.scan.readers.lines import blocks, lines, text_of
from sovereign.scan.readers.logs import record_of
from sovereign.scan.readers.rows import Row, together
from sovereign.scan.readers.transcoded import in_utf8, without_places
from sovereign.scan.readers.values import column, row
from sovereign.scan.record import Item, Record, Source, Unread
from sovereign.scan.source import HEAD, Slice, Stream, Uncut

__all__ = ["CsvReader", "Table", "delimiter_of", "titled"]

LARGEST = 1 << 20
"""Bytes of a row."""

_ENDINGS = {".csv": ",;\t|", ".tsv": "\t", ".tab": "\t", ".psv": "|"}


class CsvReader:
    """Files that are named ``.csv``, ``.tsv``, ``.tab`` or ``.psv``."""

    name = "csv"

    def claims(self, name: str, head: bytes) -> bool:
        return _ending(name) in _ENDINGS and b"\0\0\0" not in head

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST))
        utf8 = in_utf8(source)
        if utf8:
            yield from map(without_places, self._read(utf8, resume))
        else:
            yield from self._read(source, resume)

    def grows(self, source: Source) -> bool:
        return False  # what follows quotes that are not closed yet may be anything

    def cuts(self, source: Source, step: int) -> list[Cut]:
        return cuts(source, step, quoted=True)

    def _read(self, source: Source, resume: int) -> Iterator[Item]:
        part = source if isinstance(source, Slice) else None
        with Stream(source) as stream:
            if part and part.begin:
                with Stream(part.whole) as start:
                    first = _started(part.name, start)
                    names = next(first.names(), [])
                table = Table(stream, b"", first.delimiter, part.line)
            else:
                table, names = _started(source.name, stream), None
            rows = table.records(names)
            yield from together(one for one in rows if one.resume > resume)
            if stream.failure:
                yield Unread(stream.failure, resume=stream.offset + 1)
            elif part and (table.broken or (part.stop and not table.whole)):
                raise Uncut
        if table.broken:
            if table.start >= resume:
                yield Unread("a broken table: read as text from here on", resume=table.start + 1)
            with Stream(source) as stream:
                stream.skip(table.start)
                for block in blocks(stream, b"", table.number, "utf-8"):
                    # After the mark that says why.
                    if block.end > resume:
                        yield record_of(block)


class Table:
    """Reads rows until one is ``broken``; that would be line ``number``, at byte ``start``."""

    def __init__(self, stream: Stream, held: bytes, delimiter: str, number: int = 1) -> None:
        self._stream, self._held, self.delimiter = stream, held, delimiter
        self._taken: list[bytes] = []  # the lines of the row that is being read
        self._last: list[bytes] = []  # of the one before
        self.number = number
        self.start = 0
        self.broken = False

    @property
    def whole(self) -> bool:
        """Whether what was read ends with the end of a row, and not inside quotes."""
        last = [raw.decode("latin-1") for raw in self._last]
        return len(list(csv.reader([*last, "\n"], delimiter=self.delimiter))) == 1 + bool(last)

    def names(self) -> Iterator[list[str]]:
        """What the first row says of the columns; nothing that it says is no name."""
        for cells, _ in self.rows():
            yield cells if titled(cells) else []

    def records(self, names: list[str] | None = None) -> Iterator[Row]:
        """``names`` are those of the columns; if they are not known, the first row says them."""
        by_width: dict[int, tuple[str, ...]] = {}
        first = False
        for cells, raw in self.rows():
            start, number, width = self.start, self.number, len(cells)
            if names is None:
                names = cells if titled(cells) else []
                first = bool(names)
            if first:
                first = False
                shown = tuple(f"header {n}" for n in range(1, width + 1))
            else:
                shown = by_width.get(width) or by_width.setdefault(width, _named(names, width))
            make = partial(_record, shown, cells, raw, start, number)
            yield Row(shown, cells, number, start + len(raw), make)

    def rows(self) -> Iterator[tuple[list[str], bytes]]:
        """The cells of each row, and its bytes."""
        rows = csv.reader(self._lines(), delimiter=self.delimiter)
        while True:
            self._taken = []
            try:
                cells = next(rows, None)
            except csv.Error:
                self.broken = True
                return
            if cells is None:
                return
            self._last = self._taken
            raw = b"".join(self._taken)
            yield cells, raw
            self.number += raw.count(b"\n")

    def _lines(self) -> Iterator[str]:
        for raw, offset in lines(self._stream, self._held, LARGEST):
            if not self._taken:
                self.start = offset
            self._taken.append(raw)
            if offset + len(raw) - self.start > LARGEST:
                raise csv.Error
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                text = text_of(raw)[0]
            yield text


def _started(name: str, stream: Stream) -> Table:
    """The table that begins where the stream does."""
    held = stream.read(HEAD).removeprefix(codecs.BOM_UTF8)
    return Table(stream, held, delimiter_of(name, held))


def _named(names: list[str], width: int) -> tuple[str, ...]:
    """The names of a row of so many cells."""
    return (*names[:width], *(f"column {n}" for n in range(len(names) + 1, width + 1)))


def _record(
    names: tuple[str, ...], cells: list[str], raw: bytes, start: int, number: int
) -> Record:
    read = row(names, cells)
    encoding = text_of(raw)[1]
    places: dict[str, tuple[str, int]] = {}
    cursor = 0
    for name, cell in zip(names, cells, strict=True):
        if len(cell) < 2:
            continue
        written = cell.encode(encoding, "replace")
        place = raw.find(written, cursor)
        if place < 0:  # with quotes in it, which are doubled
            written = written.replace(b'"', b'""')
            place = raw.find(written, cursor)
        else:
            places[column(name)] = cell, start + place
        cursor = max(cursor, place + len(written))
    fields = tuple(
        field._replace(offset=found[1], encoding=encoding)
        if (found := places.get(field.path)) and found[0] == field.text
        else field
        for field in read.fields
    )
    return Record(number, "row", fields, start + len(raw), "", read.call, read.time)


def _ending(name: str) -> str:
    return "." + name.lower().rpartition(".")[2]


def delimiter_of(name: str, head: bytes) -> str:
    """What stands most often in the first line, outside quotes."""
    first = head.partition(b"\n")[0].decode("utf-8", "replace")
    bare = "".join(first.split('"')[::2])
    return max(_ENDINGS[_ending(name)], key=bare.count)


def titled(cells: list[str]) -> bool:
    """Whether a first row names the columns: all of it looks like names, and none stands twice."""
    return len(set(cells)) == len(cells) > 0 and all(column(cell) != "*" for cell in cells)
