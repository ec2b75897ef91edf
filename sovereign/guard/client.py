"""httpx2 clients that guard any SDK in process: ``OpenAI(http_client=guard.http_client(to))``.

What the transport does not know it refuses: other endpoints, other methods, other content types.
What a request names by its id (a file, a response) must have been made through the same transport.
Nothing is recorded here; whoever needs the audit log sends through the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import httpx2

from sovereign.errors import Refused, UnknownEndpoint, Unreadable, UpstreamFailed
from sovereign.guard import endpoints
from sovereign.guard.endpoints import Call, match, named
from sovereign.guard.sse import Event, Parser, restored, write
from sovereign.types import Action, Destination

if TYPE_CHECKING:
    from sovereign.guard.inspect import Guard, Inspection

__all__ = ["AsyncClient", "AsyncTransport", "Client", "Transport", "async_client", "sync_client"]

Client = httpx2.Client
AsyncClient = httpx2.AsyncClient

MOST_MADE = 100_000
_LATE = frozenset({"content-length", "content-encoding", "transfer-encoding"})
_CHECKED_APART = frozenset({"authorization", "x-api-key", "api-key", "cookie", "content-length"})
"""The caller's own credentials to the destination, and a number; not text of the request."""


def sync_client(guard: Guard, to: Destination, **options: Any) -> Client:
    """A client whose every request walks the road. ``options`` are :class:`httpx2.Client`'s;
    ``transport`` is what sends in the end."""
    inner = options.pop("transport", None) or httpx2.HTTPTransport()
    return httpx2.Client(transport=Transport(guard, to, inner), **options)


def async_client(guard: Guard, to: Destination, **options: Any) -> AsyncClient:
    """As :func:`sync_client`, for ``await``."""
    inner = options.pop("transport", None) or httpx2.AsyncHTTPTransport()
    return httpx2.AsyncClient(transport=AsyncTransport(guard, to, inner), **options)


class Transport(httpx2.BaseTransport):
    """Inspects, sends what may leave through ``inner``, and restores the reply."""

    def __init__(self, guard: Guard, to: Destination, inner: httpx2.BaseTransport) -> None:
        self._guard, self._to, self._inner = guard, to, inner
        self._made: set[str] = set()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises a :class:`~sovereign.errors.SovereignError` instead of sending."""
        call = _call(request)
        raw = request.read()
        inspection, clean = _cleared(self._guard, self._to, call, request, raw, self._made)
        response = self._inner.handle_request(clean)
        reply = _Reply(response, inspection, call, self._made)
        if reply.streams:
            stream: Any = _SyncEvents(reply)
            return reply.answer(stream=stream)
        if reply.passes:
            return response
        try:
            return reply.answer(content=reply.whole(response.read()))
        finally:
            response.close()

    def close(self) -> None:
        self._inner.close()


class AsyncTransport(httpx2.AsyncBaseTransport):
    """As :class:`Transport`; the recognisers run in a thread."""

    def __init__(self, guard: Guard, to: Destination, inner: httpx2.AsyncBaseTransport) -> None:
        self._guard, self._to, self._inner = guard, to, inner
        self._made: set[str] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises a :class:`~sovereign.errors.SovereignError` instead of sending."""
        call = _call(request)
        raw = await request.aread()
        inspection, clean = await asyncio.to_thread(
            _cleared, self._guard, self._to, call, request, raw, self._made
        )
        response = await self._inner.handle_async_request(clean)
        reply = _Reply(response, inspection, call, self._made)
        if reply.streams:
            stream: Any = _AsyncEvents(reply)
            return reply.answer(stream=stream)
        if reply.passes:
            return response
        try:
            return reply.answer(content=reply.whole(await response.aread()))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._inner.aclose()


_AZURE = re.compile(r".*/openai/deployments/[\w.-]{1,64}/(.*)", re.ASCII)
_VERSION = re.compile(r"v1|preview|\d{4}-\d{2}-\d{2}(?:-preview)?")


def _call(request: httpx2.Request) -> Call:
    """The endpoint, by the end of its path: a base URL may have a path of its own."""
    path = request.url.path
    azure = _AZURE.fullmatch(path)
    at = path.rfind("/v1/")
    plain = f"/v1/{azure[1]}" if azure else path[at:] if at >= 0 else path
    wire: endpoints.Wire = "anthropic" if "anthropic-version" in request.headers else "openai"
    call = match(request.method, plain, wire)
    pairs = [(k, v) for k, v in request.url.params.multi_items() if k != "api-version"]
    versions = request.url.params.get_list("api-version")
    sound = all(_VERSION.fullmatch(v) for v in versions)
    if call is None or call.endpoint.does != "inspected":
        hint = call.endpoint.why if call else "docs/endpoints.md lists what is known"
        raise UnknownEndpoint(
            "the guard does not let requests pass to this endpoint; nothing was sent", hint=hint
        )
    if not sound or endpoints.query(call.endpoint, pairs) is not None:
        raise UnknownEndpoint("the query string holds what is not known; nothing was sent")
    return call


def _cleared(
    guard: Guard, to: Destination, call: Call, request: httpx2.Request, raw: bytes, made: set[str]
) -> tuple[Inspection, httpx2.Request]:
    """What may be sent. Raises instead of returning anything that may not."""
    endpoint = call.endpoint
    body: Any = {}
    if endpoint.body != "none":
        body = guard.read(
            raw,
            content_encoding=request.headers.get("content-encoding"),
            content_type=request.headers.get("content-type"),
        )
    elif raw not in (b"", b"{}", b"null"):
        raise Unreadable("this endpoint has no body")
    unknown = [i for i in call.ids if i not in made]
    if unknown:  # the caller's own account, but an id may be anything that somebody typed
        ids = guard.inspect({"ids": unknown}, to=to)
        if ids.verdict.action is not Action.ALLOW:
            raise Refused("an id in the path cannot be told from personal data; nothing was sent")
    inspection = guard.inspect(body, to=to, shape=endpoint.shape, held=made.__contains__)
    if inspection.verdict.action in (Action.LOCAL, Action.BLOCK):
        kinds = ", ".join(inspection.verdict.entities)
        raise Refused(
            f"the policy does not let this go to {to.name}: found {kinds}",
            hint="the gateway can answer such requests with a model inside",
        )
    out = inspection.encode() if endpoint.body != "none" else b""
    headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() not in _LATE]
    # A reply that is not compressed can be restored as it streams.
    headers = [(k, v) for k, v in headers if k.lower() != "accept-encoding"]
    headers.append(("accept-encoding", "identity"))
    if inspection.boundary is not None:
        headers = [(k, v) for k, v in headers if k.lower() != "content-type"]
        headers.append(("content-type", inspection.content_type))
    checked = {k: v for k, v in headers if k.lower() not in _CHECKED_APART}
    inspection.check_residual(raw=out, url=str(request.url), headers=checked)
    clean = httpx2.Request(
        request.method, request.url, headers=headers, content=out, extensions=request.extensions
    )
    return inspection, clean


class _Reply:
    """One answer on its way back."""

    def __init__(
        self, response: httpx2.Response, inspection: Inspection, call: Call, made: set[str]
    ) -> None:
        self.response = response
        self._inspection = inspection
        self._endpoint = call.endpoint
        self._shape = call.endpoint.shape or "openai.chat"
        self._made = made
        kind = str(response.headers.get("content-type", ""))
        self._kind = kind.partition(";")[0].strip().lower()
        self.streams = self._kind == "text/event-stream"
        # Sound and files are passed as they come; errors are JSON or text.
        self.passes = self._endpoint.reply == "bytes" and self._kind not in ("application/json", "")

    def events(self) -> Any:
        """What restores the events of this reply."""
        return self._inspection.restorer.events(self._shape)

    def whole(self, raw: bytes) -> bytes:
        """The restored body."""
        restorer = self._inspection.restorer
        if self._kind != "application/json":
            return restorer.text(raw.decode("utf-8", "replace")).encode()
        try:
            body = json.loads(raw)
        except ValueError:
            raise UpstreamFailed("the destination's answer is not the JSON it says it is") from None
        self.note(body)
        restored_body = restorer.tree(body, self._shape)
        return json.dumps(restored_body, ensure_ascii=False, separators=(",", ":")).encode()

    def seen(self, event: Event) -> None:
        """The same for one event of a stream."""
        kept = self._endpoint.name.startswith(("openai.responses", "openai.threads"))
        if kept and '"id"' in event.data and len(self._made) < MOST_MADE:
            with contextlib.suppress(ValueError):
                self.note(json.loads(event.data))

    def note(self, body: Any) -> None:
        """What was made there may be named from now on."""
        if self._endpoint.makes and self.response.status_code < 300 and len(self._made) < MOST_MADE:
            self._made.update(named(body, self._endpoint.makes))

    def answer(self, **content: Any) -> httpx2.Response:
        """The response for the SDK."""
        kept = self.response.headers.multi_items()
        headers = [(k, v) for k, v in kept if k.lower() not in _LATE]
        return httpx2.Response(
            self.response.status_code,
            headers=headers,
            extensions=self.response.extensions,
            **content,
        )


class _SyncEvents(httpx2.SyncByteStream):
    """The reply's events, restored as they come."""

    def __init__(self, reply: _Reply) -> None:
        self._reply = reply
        self._events = reply.events()

    def __iter__(self) -> Iterator[bytes]:
        parser = Parser()
        for chunk in self._reply.response.iter_bytes():
            yield from self._shown(parser.feed(chunk))
        yield from self._shown(parser.flush())
        yield from (write(name, data) for name, data in self._events.flush())

    def _shown(self, events: list[Event]) -> Iterator[bytes]:
        return _shown(events, self._events, self._reply)

    def close(self) -> None:
        self._reply.response.close()


class _AsyncEvents(httpx2.AsyncByteStream):
    """As :class:`_SyncEvents`."""

    def __init__(self, reply: _Reply) -> None:
        self._reply = reply
        self._events = reply.events()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parser = Parser()
        async for chunk in self._reply.response.aiter_bytes():
            for out in _shown(parser.feed(chunk), self._events, self._reply):
                yield out
        for out in _shown(parser.flush(), self._events, self._reply):
            yield out
        for name, data in self._events.flush():
            yield write(name, data)

    async def aclose(self) -> None:
        await self._reply.response.aclose()


def _shown(events: list[Event], restorer: Any, reply: _Reply) -> Iterator[bytes]:
    for event in events:
        reply.seen(event)
        yield from restored(event, restorer)
