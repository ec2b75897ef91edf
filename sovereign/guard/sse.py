"""Server-sent events (WHATWG HTML, 9.2) as bytes in and out, for replies that are restored."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass

from sovereign.errors import UpstreamFailed
from sovereign.guard.events import EventRestorer
from sovereign.types import JSON

__all__ = ["Event", "Parser", "restored", "write"]

MAX_EVENT = 8_000_000
"""Characters. A larger event is an upstream gone wrong."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, and its data as text."""

    name: str | None
    data: str

    def __repr__(self) -> str:
        return f"Event({self.name}, {len(self.data)} characters)"


class Parser:
    """Events from bytes that arrive in any pieces."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are complete now. Raises :class:`UpstreamFailed` on an endless one."""
        text = self._rest + self._decode.decode(chunk)
        # A lone CR at the end may be half of a CRLF.
        keep = text.endswith("\r")
        body = text[: len(text) - keep].replace("\r\n", "\n").replace("\r", "\n")
        *blocks, rest = body.split("\n\n")
        self._rest = rest + ("\r" if keep else "")
        if len(self._rest) > MAX_EVENT:
            raise UpstreamFailed("the destination sent an event without end")
        return [event for block in blocks if (event := _event(block)) is not None]

    def flush(self) -> list[Event]:
        """A last event that no blank line ended."""
        rest, self._rest = self._rest + self._decode.decode(b"", True), ""
        event = _event(rest.replace("\r\n", "\n").replace("\r", "\n"))
        return [event] if event is not None else []


def _event(block: str) -> Event | None:
    name: str | None = None
    data: list[str] = []
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return Event(name, "\n".join(data)) if data else None


def restored(event: Event, restorer: EventRestorer) -> Iterator[bytes]:
    """The bytes of ``event`` with its values back, and of what had to go out before it."""
    if event.data.strip() == "[DONE]":
        yield from (write(name, data) for name, data in restorer.flush())
        yield write(event.name, None, raw="[DONE]")
        return
    try:
        data = json.loads(event.data)
    except ValueError:
        raise UpstreamFailed("the destination sent an event that is not JSON") from None
    yield from (write(name, new) for name, new in restorer.feed(event.name, data))


def write(name: str | None, data: JSON, *, raw: str | None = None) -> bytes:
    """One event as bytes."""
    text = raw or json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    head = f"event: {name}\n" if name is not None else ""
    return f"{head}data: {text}\n\n".encode()
