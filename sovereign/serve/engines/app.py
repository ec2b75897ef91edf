"""The engine's HTTP side: bounded bodies, OpenAI-shaped answers and errors, streams that can stop.

No text of a request or an answer reaches a log: failures are logged as a type and a place.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sovereign.serve.engines.answer import Answer, Identity, embedded, sse
from sovereign.serve.engines.batch import Batcher, Full
from sovereign.serve.engines.constrain import Constraint, Grammars, json_grammar, tools_grammar
from sovereign.serve.engines.fields import BadRequest, read_json
from sovereign.serve.engines.gather import Choices, Stopped
from sovereign.serve.engines.http import busy, no_memory, read, refusal
from sovereign.serve.engines.memory import lacked
from sovereign.serve.engines.prompt import Prompter
from sovereign.serve.engines.row import Failed, Job
from sovereign.serve.engines.tools import BEGIN, END
from sovereign.serve.engines.wire import (
    Request,
    parse_chat,
    parse_completion,
    parse_embeddings,
)
from sovereign.types import JSON

__all__ = ["create_app"]

T = TypeVar("T")

_MAX_BODY = 10_000_000
_FAILURES = {
    "grammar_failed": (500, "the answer could not be held to what was asked for; simplify it"),
    "engine_error": (500, "the engine failed at this request"),
    "shutting_down": (503, "the engine is stopping"),
}


def _failure(event: Failed) -> BadRequest:
    if event.code == "out_of_memory":
        return no_memory()
    status, message = _FAILURES[event.code]
    return BadRequest(message, code=event.code, status=status, kind="server_error")


async def _gone(request: HTTPRequest) -> None:
    """Returns when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Endpoints:
    def __init__(
        self, who: Identity, prompter: Prompter, batcher: Batcher, grammars: Grammars
    ) -> None:
        self._who = who
        self._prompter = prompter
        self._batcher = batcher
        self._grammars = grammars

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

    def _card(self, name: str) -> dict[str, JSON]:
        return {
            "id": name,
            "object": "model",
            "created": self._who.created,
            "owned_by": "sovereign",
            "max_model_len": self._who.context,
        }

    async def models(self, _: HTTPRequest) -> Response:
        cards = [self._card(name) for name in self._who.served]
        return JSONResponse({"object": "list", "data": cards})

    async def model(self, request: HTTPRequest) -> Response:
        name = request.path_params["name"]
        if name not in self._who.served:
            raise BadRequest(
                f"this engine serves {', '.join(self._who.served)} only",
                code="model_not_found",
                status=404,
            )
        return JSONResponse(self._card(name))

    async def chat(self, request: HTTPRequest) -> Response:
        return await self._generate(request, parse_chat)

    async def completions(self, request: HTTPRequest) -> Response:
        return await self._generate(request, parse_completion)

    async def embeddings(self, http: HTTPRequest) -> Response:
        request = parse_embeddings(
            read_json(await read(http, "application/json", _MAX_BODY)), self._who.served
        )
        if request.model != self._who.name:
            raise BadRequest("embeddings are of the model, not of an adapter", param="model")
        texts = [self._prompter.plain(text) for text in request.inputs]
        for i, tokens in enumerate(texts):
            self._fits(len(tokens), 0, f"input[{i}]")
        vectors = []
        gone = asyncio.create_task(_gone(http))
        try:
            for tokens in texts:  # one after the other: requests that generate go on between them
                vector = await _unless(gone, self._vector(tokens))
                if vector is None:
                    return Response(status_code=499)  # nobody is left to read it
                vectors.append(vector)
        finally:
            gone.cancel()
        return JSONResponse(embedded(request, vectors, sum(map(len, texts))))

    async def _vector(self, tokens: Sequence[int]) -> list[float]:
        try:
            made = self._batcher.embed(tokens)
        except Full:
            raise busy() from None
        try:
            return await asyncio.wrap_future(made)
        except asyncio.CancelledError:
            if self._batcher.closing:  # it let go of those that waited
                raise _failure(Failed("shutting_down")) from None
            raise

    async def _generate(
        self,
        http: HTTPRequest,
        parse: Callable[[dict[str, JSON], Collection[str]], Request],
    ) -> Response:
        raw = await read(http, "application/json", _MAX_BODY)
        request, jobs, choices = await run_in_threadpool(
            self._prepare, raw, parse, asyncio.get_running_loop()
        )
        try:
            self._batcher.submit(*jobs)
        except Full:
            raise busy() from None
        prompts = jobs[:: request.n]
        answer = Answer(
            self._who, request, sum(len(j.prompt) for j in prompts), self._prompter.spell
        )
        gone = asyncio.create_task(_gone(http))
        streaming = False
        try:
            if not await _unless(gone, choices.begun()):
                return Response(status_code=499)  # nobody is left to read it
            if request.stream:
                streaming = True
                return _Stream(choices.stream(answer, _told), choices)
            whole = await _unless(gone, choices.whole())
            if whole is None:
                return Response(status_code=499)
            return JSONResponse(answer.whole(whole))
        except Stopped as stopped:
            raise _failure(stopped.failure) from None
        finally:
            gone.cancel()
            if not streaming:
                choices.cancel()

    def _prepare(
        self,
        raw: bytes,
        parse: Callable[[dict[str, JSON], Collection[str]], Request],
        loop: asyncio.AbstractEventLoop,
    ) -> tuple[Request, list[Job], Choices]:
        """The request and its jobs; each prompt must leave room for an answer."""
        request = parse(read_json(raw), self._who.served)
        if request.messages is not None:
            prompts, param = [self._prompter.chat(request.messages, request.tools)], "messages"
        else:
            prompts, param = [self._prompter.plain(p) for p in request.prompts], "prompt"
        for prompt in prompts:
            self._fits(len(prompt), request.max_tokens or 1, param)
        if any(i >= self._grammars.width for i, _ in request.sampling.bias):
            raise BadRequest("logit_bias names a token that is not there", param="logit_bias")
        choices = Choices(loop, len(prompts) * request.n, calls=request.tools is not None)
        jobs = []
        for index in range(len(prompts) * request.n):
            prompt = prompts[index // request.n]
            sampling = request.sampling
            if sampling.seed is not None:  # n answers to one seed are n different ones
                sampling = replace(sampling, seed=sampling.seed + index % request.n)
            jobs.append(
                Job(
                    prompt=prompt,
                    max_tokens=request.max_tokens or self._who.context - len(prompt),
                    sampling=sampling,
                    stop=request.stop,
                    emit=choices.emit(index),
                    logprobs=request.logprobs,
                    constraint=self._constraint(request),
                    adapter=self._who.served[request.model],
                )
            )
        choices.jobs = jobs
        return request, jobs, choices

    def _constraint(self, request: Request) -> Constraint | None:
        if request.schema is not None:
            return self._grammars.compile(json_grammar(request.schema), "response_format")
        if request.tools is not None:
            special = self._grammars.special(BEGIN) and self._grammars.special(END)
            return self._grammars.compile(tools_grammar(request.tools, special=special), "tools")
        return None

    def _fits(self, tokens: int, more: int, param: str) -> None:
        if tokens + more > self._who.context:
            raise BadRequest(
                f"the prompt has {tokens} tokens and asks for {more} more; "
                f"this model's context holds {self._who.context}",
                param=param,
                code="context_length_exceeded",
            )


async def _unless(gone: asyncio.Task[None], wanted: Awaitable[T]) -> T | None:
    """What ``wanted`` gives, or None if the caller leaves before."""
    task = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait({gone, task}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()


def _told(failure: Failed) -> bytes:
    return sse(_failure(failure).body())


class _Stream(StreamingResponse):
    """Cancels its jobs however it ends, even if the caller left before the first byte."""

    def __init__(self, content: AsyncIterator[bytes], choices: Choices) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._choices = choices

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._choices.cancel()


class _Shield:
    """Answers what nobody expected with a shaped 500, and keeps its message out of every log. Once
    ``leaving`` is set, each answer is the last on its connection."""

    def __init__(self, app: ASGIApp, leaving: threading.Event) -> None:
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._leaving.is_set():
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
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
                await refusal(_failure(Failed("engine_error")))(scope, receive, send)


async def _bad(_: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, BadRequest)
    return refusal(error)


async def _unexpected(_: HTTPRequest, error: Exception) -> Response:
    return refusal(no_memory() if lacked(error) else _failure(Failed("engine_error")))


async def _http(_: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "there is no such endpoint here", 405: "not with this method"}.get(
        error.status_code, "the request cannot be answered"
    )
    return refusal(BadRequest(message, code="unknown_endpoint", status=error.status_code))


def create_app(
    who: Identity,
    prompter: Prompter,
    batcher: Batcher,
    grammars: Grammars,
    leaving: threading.Event,
) -> ASGIApp:
    """The engine's ASGI application. The batcher is started and closed by the caller, who sets
    ``leaving`` when callers should look for another engine."""
    at = _Endpoints(who, prompter, batcher, grammars)
    routes = [
        Route("/health", at.health),
        Route("/v1/models", at.models),
        Route("/v1/models/{name:path}", at.model),
        Route("/v1/chat/completions", at.chat, methods=["POST"]),
        Route("/v1/completions", at.completions, methods=["POST"]),
        Route("/v1/embeddings", at.embeddings, methods=["POST"]),
    ]
    handlers = {BadRequest: _bad, HTTPException: _http, Exception: _unexpected}
    return _Shield(Starlette(routes=routes, exception_handlers=handlers), leaving)
