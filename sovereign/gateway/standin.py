"""A stand-in for hosted APIs that writes down every byte it receives: evidence of what left.

``python -m sovereign.gateway.standin --port 0 --record FILE`` prints its URL as one JSON line. Its
answers repeat the caller's last text, so that restoring can be seen. The model's name asks for
faults: ``standin-429``, ``standin-500``, ``standin-401``, ``standin-hang``, ``standin-half``,
``standin-garbage``, ``standin-redirect``, ``standin-tool``, ``standin-slow``; any other answers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

__all__ = ["app", "main"]

PIECE = 7
"""Streamed answers come in pieces of this many characters, so that names are cut in two."""


def app(record: Path, *, pause_s: float = 0.02) -> Starlette:
    """The stand-in as an application. ``record`` gets one JSON line per request."""
    fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def answer(request: Request) -> Response:
        raw = await request.body()
        _write_down(fd, request, raw)
        path = request.url.path
        if request.method == "GET" and path.endswith("/models"):
            return JSONResponse({"object": "list", "data": [{"id": "standin", "object": "model"}]})
        try:
            body = json.loads(raw)
        except ValueError:
            return JSONResponse({"error": {"message": "not JSON"}}, status_code=400)
        fault = str(body.get("model", "")).partition("standin-")[2]
        text = _last_text(body)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "garbage":
            return Response(f"<html>{text}</html>", media_type="text/html")
        if fault == "redirect":
            return RedirectResponse("http://127.0.0.1:9/elsewhere", status_code=307)
        if fault.isdigit():
            error = {"type": "some_error", "message": f"about: {text}", "code": "standin"}
            headers = {"retry-after": "1", "x-should-retry": "false"}
            return JSONResponse({"error": error}, status_code=int(fault), headers=headers)
        if path.endswith("/embeddings"):
            return JSONResponse(_embeddings(body))
        if path.endswith("/messages/count_tokens"):
            return JSONResponse({"input_tokens": len(text.split())})
        wire = _WIRES.get(path.rpartition("/v1")[2])
        if wire is None:
            return JSONResponse({"error": {"message": "no such path"}}, status_code=404)
        whole, events = wire
        said = f"You said: {text}"
        tool = fault == "tool"
        if not body.get("stream"):
            if fault == "half":
                return _half()
            if fault == "slow":
                await asyncio.sleep(pause_s * 20)
            return JSONResponse(whole(str(body.get("model")), said, text if tool else None))

        async def stream() -> AsyncIterator[bytes]:
            every = list(events(str(body.get("model")), said, text if tool else None))
            for i, event in enumerate(every):
                if fault == "half" and i > len(every) // 2:
                    raise ConnectionResetError
                if fault == "slow":
                    await asyncio.sleep(pause_s)
                yield event

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def unknown(request: Request, exc: Exception) -> Response:
        _write_down(fd, request, await request.body())
        return JSONResponse({"error": {"message": "no such path"}}, status_code=404)

    paths = ("chat/completions", "completions", "embeddings", "responses", "messages")
    posts = [Route(f"/v1/{p}", answer, methods=["POST"]) for p in paths]
    posts.append(Route("/v1/messages/count_tokens", answer, methods=["POST"]))
    posts.append(Route("/v1/models", answer, methods=["GET"]))
    return Starlette(routes=posts, exception_handlers={404: unknown, 405: unknown})


def _write_down(fd: int, request: Request, raw: bytes) -> None:
    line = {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in request.headers.raw],
        "body": base64.b64encode(raw).decode(),
    }
    os.write(fd, json.dumps(line).encode() + b"\n")


def _half() -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"id": "half", "choi'
        raise ConnectionResetError

    return StreamingResponse(pieces(), media_type="application/json")


def _last_text(body: Any) -> str:
    """The text of the last message, prompt or input."""
    messages = body.get("messages")
    said = messages[-1].get("content") if messages else body.get("prompt", body.get("input", ""))
    if isinstance(said, str):
        return said
    parts = said if isinstance(said, list) else []
    texts = [p if isinstance(p, str) else p.get("text") or p.get("content") or "" for p in parts]
    return " ".join(t if isinstance(t, str) else json.dumps(t) for t in texts)


def _pieces(text: str) -> Iterator[str]:
    for i in range(0, len(text), PIECE):
        yield text[i : i + PIECE]


def _data(body: Any, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(body)}\n\n".encode()


_USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def _tool_call(text: str) -> dict[str, Any]:
    arguments = json.dumps({"about": text})
    function = {"name": "look_up", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function}


def _chat(model: str, said: str, tool: str | None) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if tool is not None:
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(tool)]}
    reason = "stop" if tool is None else "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": _USAGE,
    }


def _chat_events(model: str, said: str, tool: str | None) -> Iterator[bytes]:
    def chunk(delta: Any, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _data(
            {
                "id": "chatcmpl-standin",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": model,
                "choices": [choice],
            }
        )

    yield chunk({"role": "assistant", "content": ""})
    if tool is None:
        for piece in _pieces(said):
            yield chunk({"content": piece})
    else:
        call = _tool_call(tool)
        arguments = call["function"].pop("arguments")
        call["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": 0, **call}]})
        for piece in _pieces(arguments):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield chunk({}, "stop" if tool is None else "tool_calls")
    yield b"data: [DONE]\n\n"


def _completion(model: str, said: str, tool: str | None) -> Any:
    choice = {"index": 0, "text": said, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "cmpl-standin",
        "object": "text_completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": _USAGE,
    }


def _completion_events(model: str, said: str, tool: str | None) -> Iterator[bytes]:
    for piece in (*_pieces(said), ""):
        chunk = {k: v for k, v in _completion(model, piece, None).items() if k != "usage"}
        if piece:
            chunk["choices"][0]["finish_reason"] = None
        yield _data(chunk)
    yield b"data: [DONE]\n\n"


def _message(model: str, said: str, tool: str | None) -> Any:
    block: dict[str, Any] = {"type": "text", "text": said}
    if tool is not None:
        block = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"about": tool}}
    return {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block],
        "stop_reason": "end_turn" if tool is None else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }


def _message_events(model: str, said: str, tool: str | None) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return _data({"type": kind, **fields}, kind)

    start = {**_message(model, "", None), "content": [], "stop_reason": None}
    yield event("message_start", message=start)
    block: dict[str, Any] = {"type": "text", "text": ""}
    if tool is not None:
        block = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
    yield event("content_block_start", index=0, content_block=block)
    yield event("ping")
    for piece in _pieces(said if tool is None else json.dumps({"about": tool})):
        delta = {"type": "text_delta", "text": piece}
        if tool is not None:
            delta = {"type": "input_json_delta", "partial_json": piece}
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    reason = "end_turn" if tool is None else "tool_use"
    stop = {"stop_reason": reason, "stop_sequence": None}
    yield event("message_delta", delta=stop, usage={"output_tokens": 5})
    yield event("message_stop")


_WIRES: dict[str, Any] = {
    "/chat/completions": (_chat, _chat_events),
    "/completions": (_completion, _completion_events),
    "/messages": (_message, _message_events),
}


def _embeddings(body: Any) -> Any:
    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    data = [{"object": "embedding", "index": i, "embedding": [0.25, -0.5]} for i in range(count)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": str(body.get("model")), "usage": usage}


def main() -> None:
    """Listen, and say where on stdout."""
    parser = argparse.ArgumentParser(description="A recording stand-in for hosted APIs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True)
    arguments = parser.parse_args()
    listener = socket.create_server((arguments.host, arguments.port), backlog=1024)
    host, port = listener.getsockname()[:2]
    sys.stdout.write(json.dumps({"url": f"http://{host}:{port}"}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        app(arguments.record),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
