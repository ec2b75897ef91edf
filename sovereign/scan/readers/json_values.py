"""JSON: lines of values, or documents of any size, of which every value that is small enough is a
record. What is no JSON is read as text.

A document is taken apart where it is a list of things (an array, the entries of a HAR file, the
spans of a trace), and wherever a value is too large to hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sovereign.scan.readers.calls import judge
from sovereign.scan.readers.lines import blocks
from sovereign.scan.readers.logs import record_of
from sovereign.scan.readers.values import DECODER, named, walk
from sovereign.scan.record import Field, Record, Unread
from sovereign.scan.source import LONGEST, OVERLAP, Bytes, Slice, Uncut

__all__ = ["LARGEST", "document", "elements", "line", "parsed"]

LARGEST = 1 << 20
"""Bytes of a value that is held whole."""
CHUNK = 1 << 18
SPLIT = 12
"""Containers that are taken apart inside each other. Each may cost a look at a whole value."""

LISTS = frozenset(
    (
        "log", "entries", "resourceSpans", "scopeSpans", "instrumentationLibrarySpans", "spans",
        "resourceLogs", "scopeLogs", "logRecords", "cells", "data", "results", "items", "logs",
        "records", "observations", "traces", "rows", "hits", "requests",
    )
)  # fmt: skip
"""Names under which documents keep lists of things that are records of their own."""


def parsed(raw: bytes) -> tuple[Any, str] | None:
    """The value that ``raw`` is, and how it is encoded; None if it is no JSON."""
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            return DECODER.decode(raw.decode(encoding)), encoding
        except UnicodeDecodeError:
            continue
        except (ValueError, RecursionError):
            return None
    return None


def line(raw: bytes, offset: int, number: int) -> Record | None:
    """A line that is a JSON object or array; None if it is not, or is nested too deep."""
    found = parsed(raw) if raw[:1] in (b"{", b"[") else None
    if found is None:
        return None
    try:
        read = walk(found[0], raw, offset, found[1])
    except RecursionError:
        return None
    return Record(number, "line", read.fields, offset + len(raw), "", read.call, read.time)


def document(stream: Bytes, held: bytes) -> Iterator[Record | Unread]:
    """The values of a document of which ``held`` was already taken from ``stream``, and any that
    follow it. ``number`` and ``resume`` count them."""
    return _Document(stream, held).records()


def elements(stream: Bytes, held: bytes, part: Slice) -> Iterator[Record | Unread]:
    """The values of a slice of an array of objects and arrays, as :func:`document` hands them out.
    ``resume`` counts from the first byte of the slice. Raises :class:`Uncut` where it is anything
    else, or its values are not records."""
    for item in _Document(stream, held).elements(part):
        yield item._replace(resume=item.resume + part.begin - (part.line - 1))


_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]"]', re.DOTALL)
_BETWEEN = re.compile(rb"[\s,]*")
_COLON = re.compile(rb"\s*:\s*")
_SCALAR = re.compile(rb"[^\s,\]}]+")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_UNITS = re.compile(rb'(?:[^"\\]+|\\u[0-9a-fA-F]{4}|\\[^u])*', re.DOTALL)


class _Document:
    def __init__(self, stream: Bytes, held: bytes) -> None:
        self.stream, self.buffer, self.at = stream, held, 0
        self.base = stream.offset - len(held)
        self.count = 0
        self.lines = 1
        self.open: list[tuple[bytes, str]] = []  # brackets that are not closed, and their paths

    def need(self, count: int) -> bool:
        """Whether ``count`` bytes lie ahead; what lies behind is dropped."""
        while len(self.buffer) - self.at < count:
            more = self.stream.read(max(CHUNK, count))
            if not more:
                return False
            self.lines += self.buffer.count(b"\n", 0, self.at)
            self.base += self.at
            self.buffer = self.buffer[self.at :] + more
            self.at = 0
        return True

    def records(self) -> Iterator[Record | Unread]:
        while True:
            byte = self._next()
            if not byte:
                if self.open and not self.stream.failure:
                    yield self._unread("a JSON document that is cut off")
                return
            path = self.open[-1][1] if self.open else ""
            if byte in (b"}", b"]"):
                if not self.open or self.open.pop()[0] != byte:
                    break
                self.at += 1
                continue
            if self.open and self.open[-1][0] == b"}":
                key = self._key()
                if key is None:
                    break
                path = f"{path}.{key}" if path else key
                byte = self.buffer[self.at : self.at + 1]
            end = self._end()
            made = self._made(end, path) if end else None
            if made is not None:
                self.at = end
                yield made
            elif byte in (b"{", b"[") and len(self.open) < SPLIT:
                closing = b"}" if byte == b"{" else b"]"
                self.open.append((closing, path if byte == b"{" else f"{path}[]"))
                self.at += 1
            elif byte == b'"' and not end:
                yield from self._long(path)
            else:
                break
        yield self._unread("not valid JSON from here on, so the rest was read as text")
        number = self.lines + self.buffer.count(b"\n", 0, self.at)
        for block in blocks(self.stream, self.buffer[self.at :], number, "utf-8"):
            self.count += 1
            yield record_of(block)._replace(resume=self.count)

    def elements(self, part: Slice) -> Iterator[Record | Unread]:
        array = (b"]", "[]")
        self.count = part.line - 1
        self.open = [array] if part.begin else []
        begun = part.begin > 0
        while byte := self._next():
            if byte == b"[" and not begun:
                begun = True
                self.open = [array]
                self.at += 1
                continue
            if byte == b"]" and self.open:
                self.open = []
                self.at += 1
                continue
            end = self._end() if self.open and byte in (b"{", b"[") else 0
            made = self._made(end, "[]") if end else None
            if made is None:
                raise Uncut
            self.at = end
            yield made
        if part.stop is not None and not self.open:
            raise Uncut
        if part.stop is None and self.open and not self.stream.failure:
            yield self._unread("a JSON document that is cut off")

    def _next(self) -> bytes:
        """The byte that the next value or bracket begins with, and the place is there; none at the
        end. A record lies ahead whole, if it is no larger than one may be."""
        while True:
            self.need(LARGEST + 1)
            self.at = self._between()
            byte = self.buffer[self.at : self.at + 1]
            if byte or not self.need(1):
                return byte

    def _between(self) -> int:
        found = _BETWEEN.match(self.buffer, self.at)
        return found.end() if found else self.at

    def _unread(self, reason: str) -> Unread:
        self.count += 1
        return Unread(reason, number=self.count, resume=self.count)

    def _key(self) -> str | None:
        """The name that stands here, safe for a path; then the place is that of its value."""
        found = _STRING.match(self.buffer, self.at, self.at + LARGEST)
        colon = _COLON.match(self.buffer, found.end()) if found else None
        if found is None or colon is None:
            return None
        key = parsed(found[0])
        if key is None:
            return None
        self.at = colon.end()
        return named(key[0])

    def _end(self) -> int:
        """Just after the value that stands here; 0 if it is longer than may be held, or broken."""
        limit = self.at + LARGEST
        first = self.buffer[self.at : self.at + 1]
        if first not in (b"{", b"[", b'"'):
            found = _SCALAR.match(self.buffer, self.at, limit)
            return found.end() if found else 0
        depth = 0
        for token in _STRUCTURE.finditer(self.buffer, self.at, limit):
            what = token[0]
            if what in (b"{", b"["):
                depth += 1
            elif what in (b"}", b"]"):
                depth -= 1
            elif what == b'"':
                return 0
            if depth <= 0:
                return token.end()
        return 0

    def _made(self, end: int, path: str) -> Record | Unread | None:
        """The value up to ``end`` as a record; None if it is no JSON or is to be taken apart."""
        raw = self.buffer[self.at : end]
        found = parsed(raw)
        if found is None:
            return None
        value, encoding = found
        if len(self.open) < SPLIT and _parts(value):
            return None
        self.count += 1
        try:
            read = walk(value, raw, self.base + self.at, encoding, path)
        except RecursionError:
            return Unread("nested too deep", number=self.count, resume=self.count)
        return Record(self.count, "value", read.fields, self.count, "", read.call, read.time)

    def _long(self, path: str) -> Iterator[Record]:
        """A string that is too long to hold, in pieces."""
        self.at += 1
        start = 0
        while True:
            self.need(2 * LONGEST)
            stop = self._units(self.at + LONGEST)
            closed = self.buffer[stop : stop + 1] == b'"'
            # Short of what a piece may hold, it ends at a broken escape or with the file.
            last = closed or stop < self.at + LONGEST - 16
            raw = self.buffer[self.at : stop]
            text, encoding, verbatim = _unescaped(raw)
            self.count += 1
            offset = self.base + self.at if verbatim else None
            field = Field(path, text, offset=offset, start=start, encoding=encoding)
            yield Record(self.count, "value", (field,), self.count)
            if last:
                self.at = stop + closed
                return
            again = self._units(stop - OVERLAP)
            start += len(_unescaped(self.buffer[self.at : again])[0])
            self.at = again

    def _units(self, limit: int) -> int:
        """The last end of a whole character or escape at or before ``limit``."""
        found = _UNITS.match(self.buffer, self.at, limit)
        stop = found.end() if found else self.at
        while stop > self.at and stop < len(self.buffer) and self.buffer[stop] & 0xC0 == 0x80:
            stop -= 1
        return stop


def _unescaped(raw: bytes) -> tuple[str, str, bool]:
    found = parsed(b'"' + raw + b'"')
    if found is None or not isinstance(found[0], str):
        return raw.decode("latin-1"), "latin-1", True
    text = found[0]
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text, found[1], b"\\" not in raw


def _parts(value: Any) -> bool:
    """Whether a value is a list of records rather than one."""
    if isinstance(value, list):
        return any(isinstance(item, tuple) for item in value)
    if not isinstance(value, tuple) or not value:
        return False
    listed = any(
        name in LISTS and isinstance(item, (tuple, list)) and _parts(item) for name, item in value
    )
    return listed and judge(dict(value)) is None
