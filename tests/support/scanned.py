"""What the scan's readers make of bytes, for tests."""

from __future__ import annotations

from sovereign.scan.readers import reader_for
from sovereign.scan.record import Record, Source, Unread
from sovereign.scan.source import BytesSource, head_of


def items(source: Source, resume: int = 0) -> list[Record | Unread]:
    """Everything that the reader which is chosen for ``source`` hands out."""
    head, failure = head_of(source)
    assert head or not failure
    return list(reader_for(source.name, head).read(source, resume))


def read(name: str, data: bytes, resume: int = 0) -> list[Record | Unread]:
    return items(BytesSource(name, data), resume)


def records(found: list[Record | Unread]) -> list[Record]:
    return [item for item in found if isinstance(item, Record)]


def unread(found: list[Record | Unread]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Unread)]


def texts(found: list[Record | Unread]) -> dict[str, str]:
    """Text by path, of all records; the last of a path."""
    return {f.path: f.text for record in records(found) for f in record.fields}


def misplaced(data: bytes, found: list[Record | Unread]) -> list[tuple[int, str]]:
    """The fields whose offset does not point at the very bytes of their text."""
    return [
        (record.number, f.path)
        for record in records(found)
        for f in record.fields
        if f.offset is not None and not data.startswith(f.text.encode(f.encoding), f.offset)
    ]
