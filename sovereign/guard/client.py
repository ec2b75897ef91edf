"""httpx2 clients that guard any SDK in process: ``OpenAI(http_client=guard.http_client(to))``.

What the transport does not know it refuses: other endpoints, other methods, other content types.
Nothing is recorded here; whoever needs the audit log sends through the gateway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import httpx2

from sovereign.errors import Refused, UnknownEndpoint, UpstreamFailed
from sovereign.guard.shapes import Shape, endpoint
from sovereign.guard.sse import Event, Parser, restored, write
from sovereign.types import Action, Destination

if TYPE_CHECKING:
    from sovereign.guard.inspect import Guard, Inspection

__all__ = ["AsyncClient", "AsyncTransport", "Client", "Transport", "async_client", "sync_client"]

Client = httpx2.Client
AsyncClient = httpx2.AsyncClient

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

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises a :class:`~sovereign.errors.SovereignError` instead of sending."""
        shape = _shape(request)
        inspection, clean = _cleared(self._guard, self._to, shape, request, request.read())
        response = self._inner.handle_request(clean)
        if _streams(response):
            stream: Any = _SyncEvents(response, inspection, shape)
            return _answer(response, stream=stream)
        try:
            return _answer(response, content=_whole(response, response.read(), inspection, shape))
        finally:
            response.close()

    def close(self) -> None:
        self._inner.close()


class AsyncTransport(httpx2.AsyncBaseTransport):
    """As :class:`Transport`; the recognisers run in a thread."""

    def __init__(self, guard: Guard, to: Destination, inner: httpx2.AsyncBaseTransport) -> None:
        self._guard, self._to, self._inner = guard, to, inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises a :class:`~sovereign.errors.SovereignError` instead of sending."""
        shape = _shape(request)
        raw = await request.aread()
        inspection, clean = await asyncio.to_thread(
            _cleared, self._guard, self._to, shape, request, raw
        )
        response = await self._inner.handle_async_request(clean)
        if _streams(response):
            stream: Any = _AsyncEvents(response, inspection, shape)
            return _answer(response, stream=stream)
        try:
            raw = await response.aread()
            return _answer(response, content=_whole(response, raw, inspection, shape))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _shape(request: httpx2.Request) -> Shape:
    """The endpoint, by the end of its path: a base URL may have a path of its own."""
    path = request.url.path
    at = path.rfind("/v1/")
    shape = endpoint(request.method, path[at:] if at >= 0 else path)
    if shape is None or request.url.query:
        raise UnknownEndpoint(
            "the guard does not know this endpoint, so nothing was sent",
            hint="it guards chat completions, completions, embeddings, responses and messages",
        )
    return shape


def _cleared(
    guard: Guard, to: Destination, shape: Shape, request: httpx2.Request, raw: bytes
) -> tuple[Inspection, httpx2.Request]:
    """What may be sent. Raises instead of returning anything that may not."""
    body = guard.read(
        raw,
        content_encoding=request.headers.get("content-encoding"),
        content_type=request.headers.get("content-type"),
    )
    inspection = guard.inspect(body, to=to, shape=shape.name)
    if inspection.verdict.action in (Action.LOCAL, Action.BLOCK):
        kinds = ", ".join(inspection.verdict.entities)
        raise Refused(
            f"the policy does not let this go to {to.name}: found {kinds}",
            hint="the gateway can answer such requests with a model inside",
        )
    out = inspection.encode()
    headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() not in _LATE]
    # A reply that is not compressed can be restored as it streams.
    headers = [(k, v) for k, v in headers if k.lower() != "accept-encoding"]
    headers.append(("accept-encoding", "identity"))
    checked = {k: v for k, v in headers if k.lower() not in _CHECKED_APART}
    inspection.check_residual(raw=out, url=str(request.url), headers=checked)
    clean = httpx2.Request(
        request.method, request.url, headers=headers, content=out, extensions=request.extensions
    )
    return inspection, clean


def _streams(response: httpx2.Response) -> bool:
    kind = str(response.headers.get("content-type", ""))
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


def _whole(response: httpx2.Response, raw: bytes, inspection: Inspection, shape: Shape) -> bytes:
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if kind != "application/json":
        return inspection.restorer.text(raw.decode("utf-8", "replace")).encode()
    try:
        body = json.loads(raw)
    except ValueError:
        raise UpstreamFailed("the destination's answer is not the JSON it says it is") from None
    restored_body = inspection.restorer.tree(body, shape.name)
    return json.dumps(restored_body, ensure_ascii=False, separators=(",", ":")).encode()


def _answer(response: httpx2.Response, **content: Any) -> httpx2.Response:
    headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _LATE]
    return httpx2.Response(
        response.status_code, headers=headers, extensions=response.extensions, **content
    )


class _SyncEvents(httpx2.SyncByteStream):
    """The reply's events, restored as they come."""

    def __init__(self, response: httpx2.Response, inspection: Inspection, shape: Shape) -> None:
        self._response = response
        self._events = inspection.restorer.events(shape.name)

    def __iter__(self) -> Iterator[bytes]:
        parser = Parser()
        for chunk in self._response.iter_bytes():
            yield from _shown(parser.feed(chunk), self._events)
        yield from _shown(parser.flush(), self._events)
        yield from (write(name, data) for name, data in self._events.flush())

    def close(self) -> None:
        self._response.close()


class _AsyncEvents(httpx2.AsyncByteStream):
    """As :class:`_SyncEvents`."""

    def __init__(self, response: httpx2.Response, inspection: Inspection, shape: Shape) -> None:
        self._response = response
        self._events = inspection.restorer.events(shape.name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parser = Parser()
        async for chunk in self._response.aiter_bytes():
            for out in _shown(parser.feed(chunk), self._events):
                yield out
        for out in _shown(parser.flush(), self._events):
            yield out
        for name, data in self._events.flush():
            yield write(name, data)

    async def aclose(self) -> None:
        await self._response.aclose()


def _shown(events: list[Event], restorer: Any) -> Iterator[bytes]:
    for event in events:
        yield from restored(event, restorer)
