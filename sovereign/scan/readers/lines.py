"""Bytes of text as blocks of whole lines, whatever their encoding, each with its exact place.

A block ends with a line, so nothing that stands in one line is cut; a line that is longer than a
field may be comes in pieces that overlap. Where blocks end depends on the bytes alone.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import NamedTuple

from sovereign.scan.source import LONGEST, OVERLAP, Bytes

__all__ = ["Block", "blocks", "encoding_of", "lines", "text_of"]

BLOCK = 16_384
"""Bytes of a block, if its lines allow."""
CHUNK = 1 << 18

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TRIED = {
    "utf-8": ("utf-8", "cp1252", "latin-1"),
    "cp1252": ("cp1252", "latin-1"),
}


class Block(NamedTuple):
    """Some lines, or a piece of one. ``offset`` and ``end`` are bytes: where it starts, and where
    the next one does. ``number`` is its first line, from 1; ``start`` its first character in that
    line, for a piece. ``verbatim``: whether ``text`` encodes to the very bytes."""

    text: str
    offset: int
    end: int
    number: int
    start: int
    encoding: str
    verbatim: bool = True


def encoding_of(head: bytes) -> tuple[str, int]:
    """How the text that starts with ``head`` is encoded, and how long its byte-order mark is.

    UTF-16 without a mark shows by its zeros; everything else is tried as UTF-8, line by line."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, len(mark)
    whole = head[: len(head) & ~1]
    even, odd = whole[::2].count(0), whole[1::2].count(0)
    if max(even, odd) > len(whole) // 5 and max(even, odd) > 3 * min(even, odd):
        return ("utf-16-le" if odd > even else "utf-16-be"), 0
    return "utf-8", 0


def blocks(
    stream: Bytes, held: bytes = b"", number: int = 1, encoding: str | None = None
) -> Iterator[Block]:
    """The text from ``held``, bytes that were already taken from ``stream``, to its end. Without
    ``encoding`` it is the text's start, which tells."""
    buffer = held + stream.read(CHUNK)
    base = stream.offset - len(buffer)  # the byte at which the buffer starts
    at = 0
    if encoding is None:
        encoding, at = encoding_of(buffer)
    width = {"utf-8": 1, "utf-16-le": 2, "utf-16-be": 2}.get(encoding, 4)
    newline = "\n".encode(encoding)
    most = LONGEST * width
    start = 0  # characters of this line in earlier pieces
    while True:
        if len(buffer) - at <= most:
            more = stream.read(CHUNK)
            if more:
                buffer = buffer[at:] + more
                base += at
                at = 0
                continue
            if at == len(buffer):
                return
        cut = _last(buffer, newline, at, min(at + BLOCK * width, len(buffer)))
        if cut < 0 or start:
            cut = _first(buffer, newline, at, at + most)
        if cut < 0 and len(buffer) - at <= most:
            cut = len(buffer)
        if cut >= 0:
            yield from _decoded(buffer[at:cut], base + at, number, start, encoding)
            number += _count(buffer, newline, at, cut)
            start, at = 0, cut
            continue
        stop = _boundary(buffer, at + most, encoding)
        again = _boundary(buffer, stop - OVERLAP * width, encoding)
        piece = _piece(buffer[at:stop], base + at, base + again, number, start, encoding)
        yield piece
        start += len(buffer[at:again].decode(piece.encoding, "replace"))
        at = again


def lines(stream: Bytes, held: bytes, longest: int) -> Iterator[tuple[bytes, int]]:
    """Every line with its end, and the byte where it starts; UTF-8 or any encoding like it. A line
    of over ``longest`` bytes comes as far as that, and is the last."""
    buffer = held
    while True:
        more = stream.read(CHUNK)
        buffer += more
        base = stream.offset - len(buffer)
        cut = buffer.rfind(b"\n") + 1 if more else len(buffer)
        for raw in io.BytesIO(buffer[:cut]):
            yield raw, base
            base += len(raw)
        buffer = buffer[cut:]
        if len(buffer) > longest:
            yield buffer, base
            return
        if not more:
            return


def text_of(raw: bytes) -> tuple[str, str]:
    """A line that is not longer than a field may be, and its encoding."""
    block = _piece(raw, 0, 0, 0, 0, "utf-8")
    return block.text, block.encoding


def _last(buffer: bytes, newline: bytes, start: int, end: int) -> int:
    """Just after the last newline that ends in ``start:end``; -1 if there is none."""
    place = buffer.rfind(newline, start, end)
    while place >= 0 and (place - start) % len(newline):
        place = buffer.rfind(newline, start, place + len(newline) - 1)
    return place + len(newline) if place >= 0 else -1


def _first(buffer: bytes, newline: bytes, start: int, end: int) -> int:
    """Just after the first newline in ``start:end``; -1 if there is none."""
    place = buffer.find(newline, start, end)
    while place >= 0 and (place - start) % len(newline):
        place = buffer.find(newline, place + 1, end)
    return place + len(newline) if place >= 0 else -1


def _count(buffer: bytes, newline: bytes, start: int, end: int) -> int:
    if len(newline) == 1:
        return buffer.count(newline, start, end)
    return sum(buffer.startswith(newline, place) for place in range(start, end, len(newline)))


def _boundary(buffer: bytes, place: int, encoding: str) -> int:
    """The last start of a character at or before ``place``, which is in the buffer or its end."""
    if encoding == "utf-8":
        for back in range(4):
            if place - back < len(buffer) and buffer[place - back] & 0xC0 != 0x80:
                return place - back
    elif encoding.startswith("utf-16"):
        unit = buffer[place : place + 2]
        high = unit[1:] if encoding.endswith("le") else unit[:1]
        if high and high[0] & 0xFC == 0xDC:
            return place - 2
    return place


def _piece(data: bytes, offset: int, end: int, number: int, start: int, encoding: str) -> Block:
    """``data`` in the first encoding that it is."""
    for tried in _TRIED.get(encoding, (encoding,)):
        try:
            return Block(data.decode(tried), offset, end, number, start, tried)
        except UnicodeDecodeError:
            continue
    text = data.decode(encoding, "replace")
    return Block(text, offset, end, number, start, encoding, verbatim=False)


def _decoded(data: bytes, offset: int, number: int, start: int, encoding: str) -> Iterator[Block]:
    """Whole lines: one block, or where some of them are not UTF-8, one for each run of lines in
    one encoding."""
    whole = _piece(data, offset, offset + len(data), number, start, encoding)
    if encoding != "utf-8" or whole.encoding == "utf-8":
        yield whole
        return
    held: list[bytes] = []
    spoken = "utf-8"
    for line in io.BytesIO(data):
        if not line.isascii():
            own = _piece(line, 0, 0, 0, 0, encoding).encoding
            if own != spoken and any(not other.isascii() for other in held):
                run = b"".join(held)
                yield _piece(run, offset, offset + len(run), number, 0, spoken)
                offset, number, held = offset + len(run), number + len(held), []
            spoken = own
        held.append(line)
    run = b"".join(held)
    yield _piece(run, offset, offset + len(run), number, start, spoken)
