"""E-mail, messages and mailboxes: headers as they read, every body, every attachment."""

from __future__ import annotations

import binascii
import email.policy
import re
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message
from email.parser import BytesFeedParser
from email.utils import parsedate_to_datetime

from sovereign.scan.readers.archive_reader import members_of
from sovereign.scan.readers.bounds import Inside
from sovereign.scan.readers.lines import lines
from sovereign.scan.readers.values import pieces
from sovereign.scan.record import Direction, Field, Item, Record, Source, Unread
from sovereign.scan.source import BytesSource, Stream

__all__ = ["MailReader"]

LARGEST = 48_000_000
"""Bytes of one message."""
LINE = 1 << 20
FED = 1 << 16
PARTS = 1_000

_HEADERS = re.compile(
    rb"\A(?:[A-Za-z][A-Za-z0-9-]{1,60}:[ \t].*\r?\n(?:[ \t].*\r?\n)*){2,}", re.MULTILINE
)
_KNOWN = re.compile(
    rb"^(?:From|Received|Return-Path|MIME-Version|Message-ID|Delivered-To|Subject):",
    re.MULTILINE | re.IGNORECASE,
)


class MailReader:
    """``.eml`` and ``mbox``. ``resume`` counts items over all messages."""

    name = "mail"

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def claims(self, name: str, head: bytes) -> bool:
        lower = name.lower()
        if head.startswith(b"From ") and b"\n" in head:
            return _KNOWN.search(head) is not None
        if lower.endswith((".eml", ".mbox", ".mht", ".mhtml")):
            return _KNOWN.search(head) is not None
        found = _HEADERS.match(head)
        return found is not None and len(_KNOWN.findall(found[0])) >= 3

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        for number, item in enumerate(self._items(source), 1):
            if number > resume:
                yield item._replace(resume=number)

    def _items(self, source: Source) -> Iterator[Item]:
        with Stream(source) as stream:
            for number, data in enumerate(_messages(stream), 1):
                if len(data) > LARGEST:
                    yield Unread(f"a message of over {LARGEST} bytes", number=number)
                message = _parsed(data[:LARGEST])
                data = b""
                yield from self._message(source, message, number)
            if stream.failure:
                yield Unread(stream.failure)

    def _message(self, source: Source, message: Message | None, number: int) -> Iterator[Item]:
        try:
            parts = [] if message is None else list(_parts(message, 0))
        except RecursionError:
            parts = []
        if message is None or not parts:
            yield Unread("a damaged message", number=number)
            return
        if len(parts) > PARTS:
            yield Unread(f"a message of more than {PARTS} parts", number=number)
        fields: list[Field] = []
        for part in parts[:PARTS]:
            for name, value in part.raw_items():
                fields += _fields(f"headers.{name}", _header(str(value)))
        yield Record(number, "message", tuple(fields), 0, time=_time(message))
        for place, part in enumerate(parts[:PARTS], 1):
            if part.is_multipart():
                continue
            content = _content(part)
            part.set_payload("")
            if content is None:
                yield Unread("a part of a message that cannot be decoded", number=number)
            elif content:
                yield from self._part(source, part, content, number, place)

    def _part(
        self, source: Source, part: Message, content: bytes, number: int, place: int
    ) -> Iterator[Item]:
        named = _header(part.get_filename() or "")
        kind = part.get_content_type()
        if kind == "text/plain" and not named:
            text = _text(content, part.get_content_charset(""))
            fields = tuple(pieces("body", text, Direction.STORED, None, "utf-8"))
            yield Record(number, "message", fields, 0, time=None)
            return
        ending = {"text/html": ".html", "application/json": ".json"}.get(kind, "")
        name = named or f"part {place}{ending}"
        if kind.startswith("text/"):
            content = _utf8(content, part.get_content_charset(""))
        member = self._inside.member(source, name, len(content), BytesSource(name, content).open)
        for item in members_of(self._inside, member):
            yield item._replace(member=f"message {number}!/{item.member}")


def _messages(stream: Stream) -> Iterator[bytes]:
    """The messages of a mailbox, or the only one. Each ends where a line starts with ``From ``
    after an empty one."""
    taken: list[bytes] = []
    size, blank = 0, True
    for line, _ in lines(stream, b"", LINE):
        if blank and line.startswith(b"From ") and taken:
            data, taken, size = b"".join(taken), [], 0
            yield data
        blank = not line.strip()
        if size <= LARGEST and not (not taken and line.startswith(b"From ")):
            taken.append(line)
            size += len(line)
    if taken:
        data, taken = b"".join(taken), []
        yield data


def _parsed(data: bytes) -> Message | None:
    """A message; None if it is damaged. Fed to the parser piece by piece, because of bytes that it
    is given at once it makes four copies."""
    parser = BytesFeedParser(policy=email.policy.compat32)
    try:
        for at in range(0, len(data), FED):
            parser.feed(data[at : at + FED])
        return parser.close()
    except (ValueError, LookupError, RecursionError, TypeError, AssertionError):
        return None


def _parts(message: Message, depth: int) -> Iterator[Message]:
    """A message and everything inside it, the outermost first."""
    if depth > 30:
        raise RecursionError
    yield message
    inner = message.get_payload()
    if message.is_multipart() and isinstance(inner, list):
        for part in inner:
            if isinstance(part, Message):
                yield from _parts(part, depth + 1)


def _content(part: Message) -> bytes | None:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else None


def _fields(path: str, text: str) -> Iterator[Field]:
    yield from pieces(path, text, Direction.STORED, None, "utf-8")


def _header(raw: str) -> str:
    """A header as a mail program shows it."""
    try:
        return "".join(
            part.decode(charset or "latin-1", "replace") if isinstance(part, bytes) else part
            for part, charset in decode_header(raw)
        )
    except (ValueError, LookupError, binascii.Error):
        return raw


def _text(content: bytes, charset: str) -> str:
    for encoding in (charset, "utf-8", "cp1252", "latin-1"):
        try:
            return content.decode(encoding or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("latin-1")


def _utf8(content: bytes, charset: str) -> bytes:
    if charset.lower() in ("", "utf-8", "us-ascii") and content.isascii():
        return content
    return _text(content, charset).encode("utf-8", "replace")


def _time(message: Message) -> float | None:
    try:
        return parsedate_to_datetime(str(message.get("Date"))).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
