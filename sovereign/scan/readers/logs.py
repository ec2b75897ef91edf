"""Lines of logs: what they tell beyond their text. Syslog, nginx, Apache, proxies, applications.

A block stays one record, unless a line of it tells of a call to a model API: that line is a record
of its own. Values of query strings are fields of their own where they have to be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

from sovereign.scan.readers.calls import HINT, of_url
from sovereign.scan.readers.hosts import ANCHORS, HOSTED
from sovereign.scan.readers.lines import Block
from sovereign.scan.readers.values import DECODER, named, walk
from sovereign.scan.readers.when import of_line
from sovereign.scan.record import Call, Direction, Field, Record
from sovereign.scan.source import LONGEST

__all__ = ["record_of", "records", "telling"]

_QUERY = re.compile(r"[?&]([\w.\[\]%-]{1,64})=([^&\s\"'<>#]{2,})")
_HOSTS = (*HOSTED, "bedrock")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}|\+")
_URL = re.compile(
    r"(?:https?://|CONNECT |\b(?:host|upstream|sni|server|target)[=:] ?\"?|\")"
    r"((?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?::\d{1,5})?(?:/[^\s\"'<>]*)?)",
    re.IGNORECASE,
)


def record_of(block: Block) -> Record:
    """A block as one record."""
    offset = block.offset if block.verbatim else None
    field = Field("", block.text, Direction.STORED, offset, block.start, block.encoding)
    fields: tuple[Field, ...] = (field,)
    if "%" in block.text or "+" in block.text:
        fields += tuple(_queries(block.text, Direction.STORED))
    return Record(block.number, "line", fields, block.end, time=of_line(block.text))


def records(block: Block) -> Iterator[Record]:
    """A block as the records that it tells."""
    text = block.text
    if block.start or not block.verbatim or not telling(text):
        yield record_of(block)
        return
    plain: list[str] = []
    offset, number = block.offset, block.number

    def waiting() -> Iterator[Record]:
        if plain:
            before = "".join(plain)
            start = offset - len(before.encode(block.encoding))
            yield record_of(Block(before, start, offset, number - len(plain), 0, block.encoding))
            plain.clear()

    for line in _lines(text):
        size = len(line.encode(block.encoding))
        told = _told(line, offset, number, size, block.encoding) if telling(line) else None
        if told:
            yield from waiting()
            yield told
        else:
            plain.append(line)
        offset += size
        number += 1
    yield from waiting()


def _lines(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def telling(text: str) -> bool:
    """Whether some line may tell of a call."""
    if any(anchor in text for anchor in ANCHORS) and any(host in text for host in _HOSTS):
        return True
    return '{"' in text and _hinting(text)


def _hinting(text: str) -> bool:
    return HINT.search(text.encode("utf-8", "replace")) is not None


def _told(line: str, offset: int, number: int, size: int, encoding: str) -> Record | None:
    """The record of a line that tells of a call; None if it does not."""
    return _body(line, offset, number, size, encoding) or _asked(
        line, offset, number, size, encoding
    )


def _body(line: str, offset: int, number: int, size: int, encoding: str) -> Record | None:
    """A line with the body of a request or response in it: ``… body={"model": …``."""
    start = line.find('{"')
    if start < 0:
        return None
    try:
        value, end = DECODER.raw_decode(line, start)
        before = line[:start].encode(encoding)
        raw = line[start:end].encode(encoding)
        read = walk(value, raw, offset + len(before), encoding)
    except (ValueError, RecursionError):
        return None
    if read.call is None:
        return None
    around = [Field("", line[:start], Direction.STORED, offset, 0, encoding)]
    after = offset + len(before) + len(raw)
    around.append(Field("", line[end:], Direction.STORED, after, end, encoding))
    fields = (*(f for f in around if len(f.text) > 1), *read.fields)
    time = of_line(line) or read.time
    return Record(number, "line", fields, offset + size, "", read.call, time)


def _asked(line: str, offset: int, number: int, size: int, encoding: str) -> Record | None:
    """A line that names a URL or a host of a hosted API."""
    call: Call | None = None
    for found in _URL.finditer(line):
        call = of_url(found[1])
        if call:
            break
    if call is None:
        return None
    call = Call(call.provider, call.host, endpoint=call.endpoint.partition("?")[0])
    fields = [Field("", line, Direction.STORED, offset, 0, encoding)]
    fields += _queries(line, Direction.SENT)
    return Record(number, "line", tuple(fields), offset + size, "", call, of_line(line))


def _queries(text: str, way: Direction) -> Iterator[Field]:
    """The decoded values of query strings; of what stands there as it is, only what was sent."""
    for name, value in _QUERY.findall(text):
        if way is Direction.SENT or _ENCODED.search(value):
            said = unquote_plus(value)
            yield Field(f"query.{named(unquote_plus(name))}", said[:LONGEST], way)
