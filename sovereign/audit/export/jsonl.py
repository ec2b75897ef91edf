"""JSON lines: the record's own bytes, with its index and leaf hash before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sovereign.audit.export.records import Entry

__all__ = ["lines"]


def lines(entries: Iterable[Entry]) -> Iterator[bytes]:
    """``{"index":N,"leaf":"<hex>","record":{…}}``: the record is canonical JSON (RFC 8785), byte
    for byte what the tree has hashed."""
    for e in entries:
        yield b'{"index":%d,"leaf":"%s","record":%s}\n' % (e.index, e.leaf.hex().encode(), e.data)
