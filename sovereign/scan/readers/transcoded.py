"""Text in UTF-16 or UTF-32 for readers that know UTF-8 only. What they make of it has no places: a
place is a byte of the file, not of a copy."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, cast

from sovereign.scan.readers.lines import encoding_of
from sovereign.scan.record import Item, Record, Rows, Source
from sovereign.scan.source import OpenedSource, head_of

__all__ = ["in_utf8", "without_places"]


def in_utf8(source: Source) -> Source | None:
    """``source`` in UTF-8; None if it is like UTF-8 already."""
    encoding, mark = encoding_of(head_of(source)[0])
    if encoding == "utf-8":
        return None
    return OpenedSource(
        source.name, None, lambda: cast(BinaryIO, _Transcoded(source, encoding, mark))
    )


def without_places(item: Item) -> Item:
    if isinstance(item, Record):
        return _unplaced(item)
    if isinstance(item, Rows):
        return item._replace(makes=[partial(_made, make) for make in item.makes])
    return item


def _made(make: Callable[[], Record]) -> Record:
    return _unplaced(make())


def _unplaced(record: Record) -> Record:
    fields = tuple(f._replace(offset=None, encoding="utf-8") for f in record.fields)
    return record._replace(fields=fields)


class _Transcoded(io.RawIOBase):
    """A source's text in UTF-8."""

    def __init__(self, source: Source, encoding: str, skip: int) -> None:
        self._file = source.open()
        skipped = 0
        while skipped < skip:
            skipped += len(self._file.read(skip - skipped)) or skip
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, count: int = -1) -> bytes:
        """About ``count`` bytes; none at the end."""
        while True:
            raw = self._file.read(count)
            text = self._decoder.decode(raw, not raw)
            if text or not raw:
                return text.encode("utf-8", "replace")

    def close(self) -> None:
        self._file.close()
        super().close()
