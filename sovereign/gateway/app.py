"""The gateway as a Starlette application, without global state: two can live side by side.

Three paths are the gateway's own and open to anybody (/healthz, /readyz, /metrics); every other
path goes down the road.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sovereign.audit.tokens import read_token_key
from sovereign.config import Config
from sovereign.gateway.clear import Clearance
from sovereign.gateway.kept import Kept
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.ready import Engine, Readiness
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.road import Road
from sovereign.gateway.upstreams import Pool, Upstreams
from sovereign.gateway.workers import Workers
from sovereign.guard import Guard
from sovereign.types import Sink

__all__ = ["create_app"]


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
    recorder = Recorder(log, metrics, guard.build)
    kept = Kept(config.resolve(config.gateway.kept_file), guard.derived_key("kept"))
    road = Road(
        keys=KeyRing(config.resolve(config.keys.file)),
        clearance=Clearance(guard, upstreams, config.gateway, kept, read_token_key(config)),
        upstreams=upstreams,
        recorder=recorder,
        workers=workers,
        pool=pool,
        metrics=metrics,
        max_body_bytes=config.guard.max_body_bytes,
        max_concurrent=config.gateway.max_concurrent,
    )
    readiness = Readiness(
        guard, recorder, config.resolve(config.audit.path), engines or {}, workers
    )

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
            kept.close()

    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", numbers, methods=["GET"]),
            Route("/{path:path}", road),
        ],
        lifespan=lifespan,
    )
