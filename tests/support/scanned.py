"""What the scan's readers make of bytes, for tests."""

from __future__ import annotations

from typing import NamedTuple

from sovereign.scan.readers import reader_for
from sovereign.scan.record import Item, Record, Rows, Source, Unread
from sovereign.scan.source import BytesSource, head_of


class Block(NamedTuple):
    """Rows of a table, as the records that they are."""

    records: tuple[Record, ...]
    resume: int


Seen = Record | Block | Unread


def seen(item: Item) -> Seen:
    if isinstance(item, Rows):
        return Block(tuple(item.record(n) for n in range(len(item.texts))), item.resume)
    return item


def items(source: Source, resume: int = 0) -> list[Seen]:
    """Everything that the reader which is chosen for ``source`` hands out."""
    head, failure = head_of(source)
    assert head or not failure
    return list(map(seen, reader_for(source.name, head).read(source, resume)))


def read(name: str, data: bytes, resume: int = 0) -> list[Seen]:
    return items(BytesSource(name, data), resume)


def records(found: list[Seen]) -> list[Record]:
    """All of them, the rows of tables too."""
    return [
        record
        for item in found
        for record in (item.records if isinstance(item, Block) else [item])
        if isinstance(record, Record)
    ]


def unread(found: list[Seen]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Unread)]


def texts(found: list[Seen]) -> dict[str, str]:
    """Text by path, of all records; the last of a path."""
    return {f.path: f.text for record in records(found) for f in record.fields}


def misplaced(data: bytes, found: list[Seen]) -> list[tuple[int, str]]:
    """The fields whose offset does not point at the very bytes of their text."""
    return [
        (record.number, f.path)
        for record in records(found)
        for f in record.fields
        if f.offset is not None and not data.startswith(f.text.encode(f.encoding), f.offset)
    ]
