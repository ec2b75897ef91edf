"""An engine that answers one request after the other at one path: recordings, pictures.

A process of its own, outside every network, on one Unix socket. No text of a request reaches a log:
a failure is logged as a type.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sovereign.serve import cell
from sovereign.serve.engines.fields import BadRequest
from sovereign.serve.engines.http import busy, no_memory, refusal

__all__ = ["Engine", "Turns", "create_app", "main"]

T = TypeVar("T")

WAITING = 16


class Turns:
    """One after the other, in threads; a bounded number waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting = 0

    async def take(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, in its turn. Raises :class:`BadRequest` if too many wait."""
        if self.waiting > WAITING:
            raise busy()

        def alone() -> T:
            with self._lock:
                return work()

        self.waiting += 1
        try:
            return await run_in_threadpool(alone)
        finally:
            self.waiting -= 1


class Engine(Protocol):
    """Answers a request at :attr:`path`; what takes long is handed to ``turns``. Raises
    :class:`BadRequest`."""

    path: str

    async def __call__(self, request: Request, turns: Turns) -> Response: ...


def create_app(name: str, engine: Engine) -> Starlette:
    """The ASGI application of the model ``name``."""
    turns = Turns()

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "model": name, "waiting": turns.waiting})

    async def models(_: Request) -> Response:
        card = {"id": name, "object": "model", "created": 0, "owned_by": "sovereign"}
        return JSONResponse({"object": "list", "data": [card]})

    async def answer(request: Request) -> Response:
        return await engine(request, turns)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route(engine.path, answer, methods=["POST"]),
        ],
        exception_handlers={BadRequest: _bad, HTTPException: _http, Exception: _failed},
    )


async def _bad(_: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequest)
    return refusal(error)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = "there is no such endpoint here, or not with this method"
    return refusal(BadRequest(message, code="unknown_endpoint", status=error.status_code))


async def _failed(_: Request, error: Exception) -> Response:
    from sovereign.serve.engines.memory import lacked

    # Its type only: a message may hold what was asked.
    cell.say(f"request failed: {type(error).__name__}")
    if lacked(error):
        return refusal(no_memory())
    return refusal(BadRequest("the engine failed at this request", code="engine_error", status=500))


def main(prog: str, load: Callable[[str, Path, int], Engine], argv: list[str] | None) -> int:
    """A program's main: ``load`` gets the model's name, its folder and the number of threads.

    Exit status: 0 stopped, 1 could not start (one ``error:`` line says why).
    """
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args(argv)

    def work() -> int:
        cell.close_off()
        cell.die_with_stdin()
        _serve(args, load)
        return 0

    return cell.run(work)


def _serve(args: argparse.Namespace, load: Callable[[str, Path, int], Engine]) -> None:
    import uvicorn

    # The socket first: a path that cannot be used should not cost the load of a model.
    sock = cell.listen(args.socket)
    ours = args.socket.stat().st_ino
    try:
        app = create_app(args.name, load(args.name, args.weights, args.threads))
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="critical",
            lifespan="off",
            server_header=False,
            timeout_keep_alive=35,  # longer than the gateway keeps a connection
        )
        cell.say(f"serving {args.name}")
        uvicorn.Server(config).run(sockets=[sock])
    finally:
        sock.close()
        cell.give_up(args.socket, ours)
