"""Where a large file may be cut, so that several processes read it at once: between lines, between
the elements of a JSON array, or where its own table of contents says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sovereign.scan.readers.lines import encoding_of
from sovereign.scan.record import Source
from sovereign.scan.source import Stream, head_of

__all__ = ["Cut", "cuts", "elements", "spaced"]

CHUNK = 1 << 20

Cut = tuple[int, int]
"""The byte at which a record starts, and its number."""


def cuts(source: Source, step: int, *, quoted: bool = False) -> list[Cut]:
    """The first line of each ``step`` bytes of ``source`` but the first; none if it is in UTF-16 or
    cannot be read. ``quoted``: no line that starts inside quotes, if they are paired as they
    should be. Bytes are counted and nothing else, some hundred times as fast as a scan."""
    if encoding_of(head_of(source)[0])[0] != "utf-8":
        return []
    found: list[Cut] = []
    number, quotes, base, target = 1, 0, 0, step
    with Stream(source) as stream:
        while chunk := stream.read(CHUNK):
            at = 0  # what was counted of the chunk
            while (place := chunk.find(b"\n", max(at, target - 1 - base)) + 1) > 0:
                number += chunk.count(b"\n", at, place)
                quotes += chunk.count(b'"', at, place) if quoted else 0
                at = place
                if quotes % 2 == 0:
                    found.append((base + at, number))
                    target = ((base + at) // step + 1) * step
            number += chunk.count(b"\n", at)
            quotes += chunk.count(b'"', at) if quoted else 0
            base += len(chunk)
        if stream.failure:
            return []
    return [one for one in found if one[0] < base]


def spaced(starts: Iterable[Cut], step: int) -> list[Cut]:
    """Of all places where a file may be cut, the first of each ``step`` bytes but the first; none
    if they are not in the order in which they stand."""
    found: list[Cut] = []
    last, target = -1, step
    for byte, number in starts:
        if byte <= last:
            return []
        last = byte
        if byte >= target:
            found.append((byte, number))
            target = (byte // step + 1) * step
    return found


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
_OPENING, _CLOSING = (b"{", b"["), (b"}", b"]")
LONGEST = 2 << 20
"""Bytes between two brackets or strings, or of a string: a record is no longer."""


def elements(source: Source, step: int) -> list[Cut]:
    """The same of a JSON array of objects and arrays: where each of them starts. Strings and
    brackets are looked at and nothing else: who reads a slice sees whether it is one."""
    head = head_of(source)[0]
    if encoding_of(head)[0] != "utf-8" or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"[":
        return []
    with Stream(source) as stream:
        try:
            found = spaced(_elements(stream), step)
        except ValueError:
            return []
        return [] if stream.failure else found


def _elements(stream: Stream) -> Iterator[Cut]:
    """Raises ValueError if a string is too long for a record, or never ends."""
    depth = number = base = 0
    held = b""
    while chunk := stream.read(CHUNK):
        held += chunk
        at = 0  # what was looked at
        for token in _TOKEN.finditer(held):
            what = token[0]
            if what == b'"':  # its end is still to come
                break
            if what in _OPENING:
                if depth == 1:
                    number += 1
                    yield base + token.start(), number
                depth += 1
            elif what in _CLOSING:
                depth -= 1
            at = token.end()
        base += at
        held = held[at:]
        if len(held) > LONGEST:
            raise ValueError
