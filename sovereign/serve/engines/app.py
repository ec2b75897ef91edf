"""The engine's HTTP side: bounded bodies, OpenAI-shaped answers and errors, streams that can stop.

No text of a request or an answer reaches a log: failures are logged as a type and a place.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sovereign.serve.engines.answer import Answer, Identity, sse
from sovereign.serve.engines.batch import Batcher, Done, Event, Failed, Full, Job, Piece
from sovereign.serve.engines.prompt import Prompter
from sovereign.serve.engines.sampling import Sampling
from sovereign.serve.engines.wire import (
    BadRequest,
    Request,
    parse_chat,
    parse_completion,
    read_json,
)
from sovereign.types import JSON

__all__ = ["create_app"]

T = TypeVar("T")

_MAX_BODY = 10_000_000
_FAILURES = {
    "out_of_memory": (503, "the engine ran out of memory; send less, or fewer at once"),
    "engine_error": (500, "the engine failed at this request"),
    "shutting_down": (503, "the engine is stopping"),
}


def _failure(event: Failed) -> BadRequest:
    status, message = _FAILURES[event.code]
    return BadRequest(message, code=event.code, status=status, kind="server_error")


def _error(bad: BadRequest) -> JSONResponse:
    headers = {"Retry-After": "1"} if bad.status == 503 else None
    return JSONResponse(bad.body(), bad.status, headers)


async def _read(request: HTTPRequest) -> bytes:
    """The whole body, bounded. Raises :class:`BadRequest`."""
    # A page in a browser can send a form or text here without asking; JSON it cannot, and every
    # such request of a browser carries an Origin.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BadRequest(
            "the content type must be application/json", code="unsupported_media_type", status=415
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise BadRequest(
            "compressed bodies are not read here", code="unsupported_media_type", status=415
        )
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            raise BadRequest(
                f"the body is over {_MAX_BODY} bytes", code="body_too_large", status=413
            )
    return bytes(body)


async def _gone(request: HTTPRequest) -> None:
    """Returns when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Endpoints:
    def __init__(self, who: Identity, prompter: Prompter, batcher: Batcher) -> None:
        self._who = who
        self._prompter = prompter
        self._batcher = batcher

    async def health(self, _: HTTPRequest) -> Response:
        running, waiting = self._batcher.load
        ok = self._batcher.alive
        body = {
            "status": "ok" if ok else "down",
            "model": self._who.name,
            "running": running,
            "waiting": waiting,
        }
        return JSONResponse(body, 200 if ok else 503)

    def _card(self) -> dict[str, JSON]:
        return {
            "id": self._who.name,
            "object": "model",
            "created": self._who.created,
            "owned_by": "sovereign",
            "max_model_len": self._who.context,
        }

    async def models(self, _: HTTPRequest) -> Response:
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: HTTPRequest) -> Response:
        if request.path_params["name"] != self._who.name:
            raise BadRequest(
                f"this engine serves {self._who.name} only", code="model_not_found", status=404
            )
        return JSONResponse(self._card())

    async def chat(self, request: HTTPRequest) -> Response:
        return await self._generate(request, parse_chat)

    async def completions(self, request: HTTPRequest) -> Response:
        return await self._generate(request, parse_completion)

    async def _generate(
        self, http: HTTPRequest, parse: Callable[[dict[str, JSON], str], Request]
    ) -> Response:
        if "origin" in http.headers:
            raise BadRequest("browsers are not served here", code="origin_refused", status=403)
        raw = await _read(http)
        request, prompt = await run_in_threadpool(self._prepare, raw, parse)
        room = self._who.context - len(prompt)
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        job = Job(
            prompt=prompt,
            max_tokens=request.max_tokens or room,
            sampling=Sampling(request.temperature, request.top_p, request.seed),
            stop=request.stop,
            emit=lambda event: _hand_over(loop, events, event),
        )
        try:
            self._batcher.submit(job)
        except Full:
            raise BadRequest(
                "too many requests wait; try again",
                code="overloaded",
                status=503,
                kind="server_error",
            ) from None
        answer = Answer(self._who, request, len(prompt))
        gone = asyncio.create_task(_gone(http))
        streaming = False
        try:
            first = await _first(gone, events.get())
            if first is None:
                return Response(status_code=499)  # nobody is left to read it
            if isinstance(first, Failed):
                raise _failure(first)
            if request.stream:
                streaming = True
                return _Stream(_stream(answer, first, events), job)
            whole = await _first(gone, _collect(first, events))
            if whole is None:
                return Response(status_code=499)
            return JSONResponse(answer.whole(*whole))
        finally:
            gone.cancel()
            if not streaming:
                job.cancel()  # a finished job does not notice

    def _prepare(
        self, raw: bytes, parse: Callable[[dict[str, JSON], str], Request]
    ) -> tuple[Request, list[int]]:
        """The request and its tokens, which must leave room for an answer."""
        request = parse(read_json(raw), self._who.name)
        if request.messages is not None:
            prompt, param = self._prompter.chat(request.messages), "messages"
        else:
            prompt, param = self._prompter.plain(request.prompt or ""), "prompt"
        asked = request.max_tokens or 1
        if len(prompt) + asked > self._who.context:
            raise BadRequest(
                f"the prompt has {len(prompt)} tokens and asks for {asked} more; "
                f"this model's context holds {self._who.context}",
                param=param,
                code="context_length_exceeded",
            )
        return request, prompt


def _hand_over(loop: asyncio.AbstractEventLoop, events: asyncio.Queue[Event], event: Event) -> None:
    # A loop that has closed has no callers left.
    if not loop.is_closed():
        loop.call_soon_threadsafe(events.put_nowait, event)


async def _first(gone: asyncio.Task[None], wanted: Awaitable[T]) -> T | None:
    """What ``wanted`` gives, or None if the caller leaves before."""
    task = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait({gone, task}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()


async def _collect(first: Event, events: asyncio.Queue[Event]) -> tuple[str, Done]:
    texts: list[str] = []
    event = first
    while True:
        if isinstance(event, Done):
            return "".join(texts), event
        if isinstance(event, Failed):
            raise _failure(event)
        texts.append(event.text)
        event = await events.get()


async def _stream(
    answer: Answer, first: Event, events: asyncio.Queue[Event]
) -> AsyncIterator[bytes]:
    """The events of one answer. A failure is an ``error`` event and no ``[DONE]``: SDKs raise."""
    yield answer.role()
    event = first
    while True:
        if isinstance(event, Piece):
            yield answer.piece(event.text)
        elif isinstance(event, Done):
            yield answer.end(event)
            return
        else:
            yield sse(_failure(event).body())
            return
        event = await events.get()


class _Stream(StreamingResponse):
    """Cancels its job however it ends, even if the caller left before the first byte."""

    def __init__(self, content: AsyncIterator[bytes], job: Job) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._job.cancel()


class _Shield:
    """Answers what nobody expected with a shaped 500, and keeps its message out of every log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as e:  # noqa: BLE001 — the last line: whatever it is, it must not be printed
            where = traceback.extract_tb(e.__traceback__)[-1]
            print(  # noqa: T201 — the supervisor reads stderr
                f"request failed: {type(e).__name__} at {where.filename}:{where.lineno}",
                file=sys.stderr,
                flush=True,
            )
            if not started and scope["type"] == "http":
                await _error(_failure(Failed("engine_error")))(scope, receive, send)


async def _bad(_: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, BadRequest)
    return _error(error)


async def _http(_: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "there is no such endpoint here", 405: "not with this method"}.get(
        error.status_code, "the request cannot be answered"
    )
    return _error(BadRequest(message, code="unknown_endpoint", status=error.status_code))


def create_app(who: Identity, prompter: Prompter, batcher: Batcher) -> ASGIApp:
    """The engine's ASGI application. The batcher is started and closed by the caller."""
    at = _Endpoints(who, prompter, batcher)
    routes = [
        Route("/health", at.health),
        Route("/v1/models", at.models),
        Route("/v1/models/{name:path}", at.model),
        Route("/v1/chat/completions", at.chat, methods=["POST"]),
        Route("/v1/completions", at.completions, methods=["POST"]),
    ]
    handlers = {BadRequest: _bad, HTTPException: _http}
    return _Shield(Starlette(routes=routes, exception_handlers=handlers))
