"""Server-sent events as bytes: an incremental parser and an encoder, after the WHATWG's spec.

The parser never looks into the data; it takes chunk boundaries anywhere.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["DONE", "Broken", "Event", "Parser", "encode"]

DONE = "[DONE]"
"""What the OpenAI wire says in place of JSON at the end of a stream."""

MAX_EVENT = 16_000_000
_MARK = "\ufeff".encode()
_LINE_END = re.compile(rb"\r\n|\r(?!\Z)|\n")


class Broken(ValueError):
    """The stream is not server-sent events, or one event passes the bound."""


class Event(NamedTuple):
    """One event: its name, if it has one, and its data."""

    name: str | None
    data: str


class Parser:
    """Bytes in, whole events out. An event that was cut off by the end is never given out."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._name: str | None = None
        self._data: list[str] = []
        self._size = 0
        self._fresh = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes. Raises :class:`Broken`."""
        if not self._rest and not self._data and self._name is None:
            whole = _whole(chunk)
            if whole is not None:
                self._fresh = False
                return whole
        ended = self._rest.endswith(b"\r") or b"\n" in chunk or b"\r" in chunk
        self._rest += chunk
        if len(self._rest) + self._size > MAX_EVENT:
            raise Broken("an event is too long")
        if not ended:
            return []
        buffer = bytes(self._rest)
        events: list[Event] = []
        start = 0
        # A lone CR at the very end waits: the LF that may follow belongs to it.
        for match in _LINE_END.finditer(buffer):
            event = self._line(buffer[start : match.start()])
            start = match.end()
            if event is not None:
                events.append(event)
        self._rest = bytearray(buffer[start:])
        return events

    @property
    def partial(self) -> bool:
        """Whether an event was begun and not finished."""
        return bool(self._rest.strip() or self._data)

    def _line(self, line: bytes) -> Event | None:
        if self._fresh:  # a byte order mark may stand before all of it
            self._fresh = False
            line = line.removeprefix(_MARK)
        if not line:
            if not self._data:
                self._name = None
                return None
            event = Event(self._name, "\n".join(self._data))
            self._name, self._data, self._size = None, [], 0
            return event
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        try:
            if field == b"data":
                self._data.append(value.decode("utf-8"))
                self._size += len(line) + 1
            elif field == b"event":
                self._name = value.decode("utf-8")
        except UnicodeDecodeError:
            raise Broken("an event is not UTF-8") from None
        return None


def _whole(chunk: bytes) -> list[Event] | None:
    """The events of a chunk that is nothing but whole, nameless ones of one line each: what models
    send, token by token. None for any other chunk."""
    if not chunk.startswith(b"data: ") or not chunk.endswith(b"\n\n") or b"\r" in chunk:
        return None
    parts = chunk[6:-2].split(b"\n\ndata: ")
    if chunk.count(b"\n") != 2 * len(parts) or len(chunk) > MAX_EVENT:
        return None
    try:
        return [Event(None, part.decode("utf-8")) for part in parts]
    except UnicodeDecodeError:
        raise Broken("an event is not UTF-8") from None


def encode(name: str | None, data: bytes) -> bytes:
    """One event. ``data`` holds no line breaks: it is compact JSON, or :data:`DONE`."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"
