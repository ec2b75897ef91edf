"""From a destination's answer to the caller's: checked, restored, translated back, and counted.

What comes back is JSON or server-sent events of the wire that was asked, or it is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

from sovereign.errors import UpstreamFailed
from sovereign.gateway import sse
from sovereign.gateway.asked import Asked, Send, respond, write
from sovereign.gateway.clear import Cleared
from sovereign.gateway.given import Gives, passed
from sovereign.gateway.http1 import Broke
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.pool import Answer, Pool
from sovereign.gateway.recorder import Intent, Recorder
from sovereign.gateway.wires import dumps, error_body, error_event, upstream_error
from sovereign.types import JSON

__all__ = ["send_back"]

MAX_REPLY = 64_000_000
MAX_ERROR = 1_000_000
ON_LOOP = 64_000
"""A longer reply is restored in a thread, so that other callers do not wait for it."""
DRAIN_S = 0.25
EARLY = 6
"""So many pieces of a stream go out one by one, however many came at once: the first token, which
comes after up to five events that frame it, does not wait for what came with it."""

_LAST = frozenset({"message_stop", "response.completed", "response.failed", "response.incomplete"})

Ended = Callable[[Asked, str, int], None]


async def send_back(
    asked: Asked,
    cleared: Cleared,
    pool: Pool,
    send: Send,
    recorder: Recorder,
    intent: Intent,
    ledger: Ledger,
) -> None:
    """Send what was cleared, once ``intent`` has landed, and the answer back. ``recorder`` gets the
    outcome and the caller's status once, just before the last bytes go out; ``ledger`` what the
    answer gives to the caller's team, before the caller can know it.

    Raises :class:`UpstreamFailed` as long as nothing was sent to the caller; after that, the
    failure is an event of the stream. Raises :class:`AuditError` if the intent did not land.
    """
    ended = recorder.result
    gives = Gives(asked, cleared, ledger)
    async with pool.post(
        cleared.upstream,
        cleared.url,
        cleared.raw,
        cleared.headers,
        asked.attempts,
        method=cleared.endpoint.method,
        first=intent.landed,
    ) as answer:
        if not 200 <= answer.status < 300:
            await _error(asked, cleared, answer, send, ended)
        elif cleared.stream:
            _expect(answer, "text/event-stream", cleared)
            await _Streamed(asked, cleared, send, ended, gives).run(answer)
        elif cleared.endpoint.reply == "bytes" or (
            cleared.endpoint.reply == "text" and answer.content_type != "application/json"
        ):
            await passed(asked, cleared, answer, send, ended)
        else:
            _expect(answer, "application/json", cleared)
            await _whole(asked, cleared, answer, send, ended, gives)


async def _whole(
    asked: Asked, cleared: Cleared, answer: Answer, send: Send, ended: Ended, gives: Gives
) -> None:
    raw = await _read(asked, cleared, answer, MAX_REPLY)

    def restored() -> JSON:
        said = _parse(raw, cleared)
        asked.used.note(said)
        body = cleared.restorer.tree(gives.whole(said), cleared.shape.name)
        return cleared.translation.reply(body, asked.id) if cleared.translation else body

    body = restored() if len(raw) < ON_LOOP else await asyncio.to_thread(restored)
    ended(asked, "ok", 200)
    await respond(asked, send, body)


async def _error(asked: Asked, cleared: Cleared, answer: Answer, send: Send, ended: Ended) -> None:
    """A destination's refusal, in the shape of the caller's wire, with its status."""
    name = cleared.upstream.destination.name
    if answer.status == 401:
        # Its text is about our key, which is none of the caller's.
        raise UpstreamFailed(
            f"destination {name!r} does not take the gateway's own key",
            hint=f"the variable that upstream.{name}.api_key_env names holds it",
        )
    if not 400 <= answer.status < 600:
        raise UpstreamFailed(
            f"destination {name!r} answered {answer.status}, which is not followed",
            hint=f"see upstream.{name}.base_url in sovereign.toml",
        )
    raw = await _read(asked, cleared, answer, MAX_ERROR)
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        said = None
    body = upstream_error(asked.wire, answer.status, said, cleared.restorer.text)
    ended(asked, "upstream_failed", answer.status)
    await respond(
        asked,
        send,
        body,
        status=answer.status,
        retry_after=answer.retry_after,
    )


class _Streamed:
    """One streamed answer. The caller's status line waits for the first event, so that a
    destination that fails before it is a plain error."""

    def __init__(
        self, asked: Asked, cleared: Cleared, send: Send, ended: Ended, gives: Gives
    ) -> None:
        self._asked = asked
        self._gives = gives
        self._cleared = cleared
        self._send = send
        self._ended = ended
        self._events = cleared.restorer.events(cleared.shape.name)
        self._translator = cleared.translation.events(asked.id) if cleared.translation else None
        self._complete = False
        self._ready = b""
        self._early = EARLY

    def _take(self) -> bytes:
        out, self._ready = self._ready, b""
        return out

    async def run(self, answer: Answer) -> None:
        parser = sse.Parser()
        try:
            while chunk := await answer.body.readany():
                self._asked.bytes_in += len(chunk)
                for event in parser.feed(chunk):
                    self._ready += self._out(event)
                    if self._ready and self._early and not self._complete:
                        self._early -= 1
                        await self._write(self._take())
                if self._complete:
                    self._ended(self._asked, "ok", 200)
                    await self._write(self._take())
                    await _drain(answer)
                    return await self._write(b"", more=False)
                if self._ready:
                    await self._write(self._take())
            raise self._broken()
        except (UpstreamFailed, sse.Broken, TimeoutError, Broke) as e:
            if not self._asked.answering and not isinstance(e, sse.Broken):
                raise
            failed = e if isinstance(e, UpstreamFailed) else self._broken()
            await self._fail(error_body(self._asked.wire, failed), failed)
        except _SaidError as e:
            await self._fail(e.body, None)

    def _out(self, event: sse.Event) -> bytes:
        """What ``event`` becomes for the caller."""
        if self._complete:
            return b""
        if event.data == sse.DONE:
            self._complete = True
            tail = b"" if self._translator else sse.encode(None, sse.DONE.encode())
            return self._flushed() + tail
        data = _parse(event.data, self._cleared)
        self._asked.used.note(data)
        if isinstance(data, dict) and (event.name == "error" or data.get("error")):
            raise _SaidError(upstream_error(self._asked.wire, 500, data, self._restored))
        self._gives.event(data)
        events = self._events.feed(event.name, data)
        if len(events) == 1 and events[0][1] is data and self._translator is None:
            # As it came: what parsed as one JSON value in UTF-8 need not be written again.
            out = sse.encode(event.name, event.data.replace("\n", " ").encode())
        else:
            out = self._encoded(events)
        if isinstance(data, dict) and data.get("type") in _LAST:
            self._complete = True
            return out + self._flushed()
        return out

    def _restored(self, text: str) -> str:
        return self._cleared.restorer.text(text)

    def _encoded(self, events: list[tuple[str | None, JSON]]) -> bytes:
        if self._translator is not None:
            events = [e for _, chunk in events for e in self._translator.feed(chunk)]
        try:
            return b"".join(sse.encode(name, dumps(data)) for name, data in events)
        except ValueError:
            raise self._broken() from None

    def _flushed(self) -> bytes:
        out = self._encoded(self._events.flush())
        if self._translator is not None and self._complete:
            ends = self._translator.finish()
            out += b"".join(sse.encode(name, dumps(data)) for name, data in ends)
        return out

    async def _write(self, out: bytes, *, more: bool = True) -> None:
        if not self._asked.answering:
            self._asked.answering = True
            self._asked.status = 200
            self._asked.first_s = self._asked.seconds()
            headers = self._asked.answer_headers("text/event-stream; charset=utf-8")
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await write(self._send, out, more=more)

    async def _fail(self, body: JSON, error: UpstreamFailed | None) -> None:
        if error is not None and not self._asked.answering:
            raise error
        name, data = error_event(self._asked.wire, body)
        out = self._take() + (b"" if self._translator else self._flushed())
        self._ended(self._asked, "upstream_failed", 200)
        await self._write(out + sse.encode(name, dumps(data)), more=False)

    def _broken(self) -> UpstreamFailed:
        return _not_its_wire(self._cleared, "broke off, or streams what is not its wire")


class _SaidError(Exception):
    """The destination said in the stream that it failed."""

    def __init__(self, body: JSON) -> None:
        super().__init__("the destination failed")
        self.body = body


async def _drain(answer: Answer) -> None:
    """Read the end of a stream whose last event has come, so that its connection can be used again.
    If nothing ends it soon, the connection is dropped."""
    with contextlib.suppress(TimeoutError, Broke):
        async with asyncio.timeout(DRAIN_S):
            while await answer.body.readany():
                pass


async def _read(asked: Asked, cleared: Cleared, answer: Answer, limit: int) -> bytes:
    pieces = []
    async for piece in answer.body.iter_any():
        asked.bytes_in += len(piece)
        if asked.bytes_in > limit:
            raise _not_its_wire(cleared, f"answered with more than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _expect(answer: Answer, content_type: str, cleared: Cleared) -> None:
    if answer.content_type != content_type:
        raise _not_its_wire(cleared, f"did not answer with {content_type}")


def _constant(name: str) -> JSON:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_constant)


def _parse(raw: bytes | str, cleared: Cleared) -> JSON:
    try:
        if isinstance(raw, str):  # an event: a decoder that is there already is half the work
            return _DECODER.decode(raw)
        return json.loads(raw, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise _not_its_wire(cleared, "answered with what is not JSON") from None


def _not_its_wire(cleared: Cleared, what: str) -> UpstreamFailed:
    return UpstreamFailed(f"destination {cleared.upstream.destination.name!r} {what}")
