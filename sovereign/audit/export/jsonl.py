"""JSON lines: the record's own bytes, with its log, its index there and leaf hash before them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from sovereign.audit.export.records import Entry

__all__ = ["lines"]


def lines(entries: Iterable[Entry], *, origin: str) -> Iterator[bytes]:
    """``{"log":"<origin>","index":N,"leaf":"<hex>","record":{…}}``: an index means something in one
    log of a chain only. The record is canonical JSON (RFC 8785), byte for byte what the tree has
    hashed."""
    log = json.dumps(origin).encode()
    for e in entries:
        leaf = e.leaf.hex().encode()
        yield b'{"log":%s,"index":%d,"leaf":"%s","record":%s}\n' % (log, e.index, leaf, e.data)
