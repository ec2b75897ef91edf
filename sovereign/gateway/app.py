"""The gateway as a Starlette application, without global state: two can live side by side.

Three paths are the gateway's own and open to anybody (/healthz, /readyz, /metrics); every other
path goes down the road.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sovereign.config import Config
from sovereign.errors import SovereignError
from sovereign.gateway.clear import Clearance
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.road import Road
from sovereign.gateway.upstreams import Pool, Upstreams
from sovereign.gateway.workers import Workers
from sovereign.guard import Guard
from sovereign.types import Sink

__all__ = ["Engine", "create_app"]

READY_FOR_S = 1.0
"""An answer of /readyz is reused for so long: its canary costs work, and anybody may ask."""


class Engine(Protocol):
    """What the gateway wants to know of a model's process."""

    @property
    def alive(self) -> bool: ...


def create_app(
    config: Config,
    *,
    guard: Guard,
    log: Sink,
    upstreams: Upstreams,
    engines: Mapping[str, Engine] | None = None,
) -> Starlette:
    """``log`` is open and ``guard`` was proven by its canary; both stay the caller's to close."""
    metrics = Metrics()
    pool = Pool()
    workers = Workers(config.gateway.max_concurrent)
    road = Road(
        keys=KeyRing(config.resolve(config.keys.file)),
        clearance=Clearance(guard, upstreams, config.gateway.local_model),
        upstreams=upstreams,
        log=log,
        workers=workers,
        pool=pool,
        metrics=metrics,
        guard_build=guard.build,
        max_body_bytes=config.guard.max_body_bytes,
        max_concurrent=config.gateway.max_concurrent,
    )
    readiness = Readiness(guard, log, engines or {}, workers)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        state = await readiness.state()
        ready = all(word == "ok" for word in state.values())
        return JSONResponse({"ready": ready, **state}, status_code=200 if ready else 503)

    async def numbers(request: Request) -> Response:
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await pool.close()
            workers.close()

    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", numbers, methods=["GET"]),
            Route("/{path:path}", road),
        ],
        lifespan=lifespan,
    )


class Readiness:
    """Whether a request would be served now: guard, log and engines, asked afresh."""

    def __init__(
        self, guard: Guard, log: Sink, engines: Mapping[str, Engine], workers: Workers
    ) -> None:
        self._guard = guard
        self._log = log
        self._engines = engines
        self._workers = workers
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._state: dict[str, str] = {}

    async def state(self) -> dict[str, str]:
        """Part to "ok", or to what is wrong with it."""
        async with self._lock:
            if time.monotonic() - self._asked > READY_FOR_S:
                self._state = await self._ask()
                self._asked = time.monotonic()
            return self._state

    async def _ask(self) -> dict[str, str]:
        state = {"guard": "ok", "log": "ok"}
        try:
            await self._workers.run(self._guard.canary)
        except SovereignError as e:
            state["guard"] = e.code
        except Exception as e:  # noqa: BLE001 - a recogniser may raise anything
            state["guard"] = type(e).__name__
        for name, engine in self._engines.items():
            state[f"model {name}"] = "ok" if engine.alive else "down"
        return state
