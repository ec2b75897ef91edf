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
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from sovereign.gateway.standin_kept import Kept
from sovereign.gateway.standin_replies import WIRES, embeddings

__all__ = ["app", "main"]


def app(record: Path, *, pause_s: float = 0.02) -> Starlette:
    """The stand-in as an application. ``record`` gets one JSON line per request."""
    kept = Kept()
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
        if not isinstance(body, dict):
            return JSONResponse({"error": {"message": "not an object"}}, status_code=400)
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
            return JSONResponse(embeddings(body))
        if path.endswith("/messages/count_tokens"):
            return JSONResponse({"input_tokens": len(text.split())})
        wire = WIRES.get(path.rpartition("/v1")[2])
        if wire is None:
            return JSONResponse({"error": {"message": "no such path"}}, status_code=404)
        whole, events = wire
        said = json.dumps({"about": text}) if _typed(body) else f"You said: {text}"
        tool = (fault == "tool" or "(tool)" in text) and not _after_tool(body)
        model, scored = str(body.get("model")), _scored(body)
        if not body.get("stream"):
            if fault == "half":
                return _half()
            if fault == "slow":
                await asyncio.sleep(pause_s * 20)
            return JSONResponse(whole(model, said, text if tool else None, scored))

        async def stream() -> AsyncIterator[bytes]:
            every = list(events(model, said, text if tool else None, scored))
            for i, event in enumerate(every):
                if fault == "half" and i > len(every) // 2:
                    raise ConnectionResetError
                if fault == "slow":
                    await asyncio.sleep(pause_s)
                yield event

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def unknown(request: Request, exc: Exception) -> Response:
        raw = await request.body()
        _write_down(fd, request, raw)
        return kept.answer(request, raw)

    paths = ("chat/completions", "completions", "embeddings", "responses", "messages")
    posts = [Route(f"/v1/{p}", answer, methods=["POST"]) for p in paths]
    posts.append(Route("/v1/messages/count_tokens", answer, methods=["POST"]))
    posts.append(Route("/v1/models", answer, methods=["GET"]))
    stand_in = Starlette(routes=posts, exception_handlers={404: unknown, 405: unknown})
    stand_in.router.redirect_slashes = False  # a redirect would not be written down
    return stand_in


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
    texts = [_text_of(part) for part in parts]
    return " ".join(t if isinstance(t, str) else json.dumps(t) for t in texts)


def _typed(body: Any) -> bool:
    """Whether JSON is asked for, on either of OpenAI's wires."""
    text = body.get("text")
    form = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    return isinstance(form, dict) and form.get("type") in ("json_schema", "json_object")


def _scored(body: Any) -> bool:
    """Whether log-probabilities are asked for: ``logprobs`` may be 0 for completions."""
    asked = body.get("logprobs")
    included = body.get("include")
    return (asked is not None and asked is not False) or (
        isinstance(included, list) and "message.output_text.logprobs" in included
    )


def _after_tool(body: Any) -> bool:
    """Whether the last word is a tool's own: a model that then called it again would never end."""
    said = body.get("messages") or body.get("input")
    last = said[-1] if isinstance(said, list) and said else None
    if not isinstance(last, dict):
        return False
    return last.get("role") == "tool" or last.get("type") == "function_call_output"


def _text_of(part: Any) -> Any:
    if isinstance(part, dict):
        return part.get("text") or part.get("content") or part.get("output") or ""
    return part


def main() -> None:
    """Listen, and say where on stdout."""
    parser = argparse.ArgumentParser(description="A recording stand-in for hosted APIs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        recording = app(arguments.record)
        listener = socket.create_server((arguments.host, arguments.port), backlog=1024)
    except OSError as e:
        where = e.filename or f"{arguments.host}:{arguments.port}"
        parser.exit(1, f"error: {where}: {os.strerror(e.errno or 0)}\n")
    host, port = listener.getsockname()[:2]
    sys.stdout.write(json.dumps({"url": f"http://{host}:{port}"}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        recording,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,  # as hosted APIs do; at five seconds it would race with our own
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
