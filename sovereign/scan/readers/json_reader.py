"""JSON files: which kind they are, and where in them to go on."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

from sovereign.scan.readers import json_values
from sovereign.scan.readers.cuts import Cut, cuts, elements
from sovereign.scan.readers.lines import blocks, encoding_of
from sovereign.scan.readers.logs import record_of
from sovereign.scan.readers.plan import Plans
from sovereign.scan.readers.transcoded import in_utf8, without_places
from sovereign.scan.record import Record, Source, Unread
from sovereign.scan.source import Held, Slice, Stream, line_of

__all__ = ["CHUNK", "JsonReader", "lined"]

_LINED = (".jsonl", ".ndjson", ".jsonlines")
_START = re.compile(
    rb'\s*(?:\{\s*["}]|\[\s*(?:[\[{"\]]|-?\d+(?:\.\d+)?\s*,|(?:true|false|null)\b))'
)
"""How JSON starts, and a line of a log that starts with a date or a number in brackets does not."""
CHUNK = 1 << 18


class JsonReader:
    """JSON documents and JSON lines."""

    name = "json"

    def claims(self, name: str, head: bytes) -> bool:
        encoding, mark = encoding_of(head)
        if encoding != "utf-8":
            head = head[mark:].decode(encoding, "replace").encode()
            mark = 0
        return _START.match(head, mark) is not None

    def read(self, source: Source, resume: int = 0) -> Iterator[Record | Unread]:
        utf8 = in_utf8(source)
        yield from (
            map(without_places, self._read(utf8, resume)) if utf8 else self._read(source, resume)
        )

    def _read(self, source: Source, resume: int) -> Iterator[Record | Unread]:
        part = source if isinstance(source, Slice) else None
        with Stream(source) as stream:
            held = stream.read(json_values.LARGEST)
            if held.startswith(codecs.BOM_UTF8) and not (part and part.begin):
                held = held[3:]
            if self._lined(part) if part else lined(source.name, held):
                yield from _lines(stream, held, resume, line_of(source))
            else:
                for item in (
                    json_values.elements(stream, held, part)
                    if part
                    else json_values.document(stream, held)
                ):
                    if item.resume > resume:
                        yield item
            if stream.failure:
                yield Unread(stream.failure, resume=stream.offset)

    def grows(self, source: Source) -> bool:
        return self._lined(source)

    def cuts(self, source: Source, step: int) -> list[Cut]:
        return cuts(source, step) if self._lined(source) else elements(source, step)

    def _lined(self, source: Source) -> bool:
        with Stream(source.whole if isinstance(source, Slice) else source) as stream:
            held = stream.read(json_values.LARGEST).removeprefix(codecs.BOM_UTF8)
        return lined(source.name, held)


def lined(name: str, held: bytes) -> bool:
    """Whether each line is a value of its own."""
    if name.lower().endswith(_LINED):
        return True
    first, _, rest = held.partition(b"\n")
    return bool(rest.strip()) and first[:1] == b"{" and json_values.parsed(first) is not None


def _lines(stream: Stream, buffer: bytes, resume: int, number: int) -> Iterator[Record | Unread]:
    plans = Plans()
    while True:
        more = stream.read(CHUNK)
        buffer += more
        base = stream.offset - len(buffer)
        # Without more to come, the last line ends with the file.
        cut = buffer.rfind(b"\n") + 1 if more else len(buffer)
        for raw in io.BytesIO(buffer[:cut]):
            base += len(raw)
            if base > resume:
                quick = plans.record(raw, base - len(raw), number)
                for record in (quick,) if quick else _line(raw, base - len(raw), number):
                    if record.resume > resume:
                        yield record
            number += 1
        buffer = buffer[cut:]
        if len(buffer) > json_values.LARGEST:
            long = _Line(stream)
            for item in json_values.document(long, buffer):
                if base + item.resume > resume:
                    yield item._replace(number=number, resume=base + item.resume)
            buffer = long.rest
            number += 1
        elif not more:
            return


def _line(raw: bytes, offset: int, number: int) -> Iterator[Record]:
    """A line as what it says, or as it stands."""
    found = json_values.line(raw, offset, number)
    if found is not None:
        yield found
    else:
        held = Held(offset + len(raw))
        yield from map(record_of, blocks(held, raw, number, "utf-8"))


class _Line:
    """What is left of one line of a stream. ``rest``: what was taken of the next."""

    failure = ""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._over = False
        self.rest = b""

    @property
    def offset(self) -> int:
        return self._stream.offset - len(self.rest)

    def read(self, count: int) -> bytes:
        if self._over:
            return b""
        got = self._stream.read(count)
        line, newline, self.rest = got.partition(b"\n")
        self._over = bool(newline) or not got
        return line + newline
