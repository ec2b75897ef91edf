"""The gateway as an ASGI application, without global state: two can live side by side.

Three paths are the gateway's own and open to anybody (/healthz, /readyz, /metrics), one is asked by
LiteLLM's proxy; every other path goes down the road.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sovereign.audit.tokens import TokenKeyFile
from sovereign.config import Config
from sovereign.gateway import guardrail
from sovereign.gateway.asked import Receive, Scope, Send
from sovereign.gateway.clear import Clearance
from sovereign.gateway.guardrail import Guardrail
from sovereign.gateway.kept import Kept
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.limits import Limits
from sovereign.gateway.metrics import Metrics, render
from sovereign.gateway.pool import Pool
from sovereign.gateway.ready import Engine, Readiness
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.road import Road
from sovereign.gateway.siblings import Siblings
from sovereign.gateway.standing import Standing
from sovereign.gateway.tls import Listening
from sovereign.gateway.traces import Tracer
from sovereign.gateway.upstreams import Upstreams
from sovereign.gateway.workers import Workers
from sovereign.guard import Guard
from sovereign.types import Sink

__all__ = ["App", "create_app"]

TICK_S = 1.0


def create_app(
    config: Config,
    *,
    guard: Guard,
    log: Sink,
    upstreams: Upstreams,
    engines: Mapping[str, Engine] | None = None,
    make: Callable[[], Guard] | None = None,
    tls: Listening | None = None,
    siblings: Siblings | None = None,
) -> App:
    """``log`` is open and ``guard`` was proven by its canary; both stay the caller's to close.

    ``make`` builds a guard anew when the policy file has changed. ``siblings`` are there if this is
    one worker of several.
    """
    return App(
        config,
        guard=guard,
        log=log,
        upstreams=upstreams,
        engines=engines or {},
        make=make or (lambda: Guard.from_config(config)),
        tls=tls,
        siblings=siblings,
    )


class App:
    """Use :func:`create_app`."""

    def __init__(
        self,
        config: Config,
        *,
        guard: Guard,
        log: Sink,
        upstreams: Upstreams,
        engines: Mapping[str, Engine],
        make: Callable[[], Guard],
        tls: Listening | None,
        siblings: Siblings | None,
    ) -> None:
        self.metrics = Metrics()
        self._siblings = siblings
        self._tls = tls
        self._pool = Pool()
        self._workers = Workers(config.gateway.max_concurrent, _reading_s(config))
        self._recorder = Recorder(log, self.metrics)
        self._limits = Limits.from_config(config)
        worker = siblings.worker if siblings is not None else 0
        told = config.telemetry
        self._tracer = Tracer(told, worker=worker) if told is not None else None
        token_key = TokenKeyFile(config.resolve(config.audit.token_key_file))

        self._ledger = Ledger(config.resolve(config.gateway.ledger))
        self._kept = Kept(config.resolve(config.gateway.kept_file), guard.derived_key("kept"))

        def clearance(used: Guard) -> Clearance:
            return Clearance(used, upstreams, config.gateway, self._kept, token_key, self._ledger)

        self.standing = Standing(
            guard,
            _watched(config),
            make=make,
            clearance=clearance,
            log=log,
            metrics=self.metrics,
        )
        keys = KeyRing(config.resolve(config.keys.file))
        self._guardrail = Guardrail(
            keys=keys,
            standing=self.standing,
            recorder=self._recorder,
            workers=self._workers,
            max_body_bytes=config.guard.max_body_bytes,
            token_key=token_key,
        )
        self._road = Road(
            keys=keys,
            standing=self.standing,
            limits=self._limits,
            upstreams=upstreams,
            recorder=self._recorder,
            workers=self._workers,
            pool=self._pool,
            metrics=self.metrics,
            ledger=self._ledger,
            tracer=self._tracer,
            origin=config.audit.origin,
            propagate_to=frozenset(told.propagate_to if told is not None else ()),
            log_requests=config.gateway.log_requests,
            max_body_bytes=config.guard.max_body_bytes,
            max_concurrent=config.gateway.max_concurrent,
        )
        self._readiness = Readiness(
            self.standing,
            self._recorder,
            config.resolve(config.audit.path),
            engines,
            self._workers,
            siblings,
        )
        self._ticker: asyncio.Task[None] | None = None

    @property
    def draining(self) -> bool:
        """Set from SIGTERM on: /readyz then says no, while requests are still taken."""
        return self._readiness.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._readiness.draining = draining
        self.metrics.gauge("sovereign_draining", float(draining))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["path"] == guardrail.PATH:
            return await self._guardrail(scope, receive, send)
        own = _OWN.get(scope["path"]) if scope["method"] == "GET" else None
        if own is None:
            return await self._road(scope, receive, send)
        status, content_type, body = await own(self)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type),
                    (b"content-length", str(len(body)).encode()),
                    (b"cache-control", b"no-store"),
                ],
            }
        )
        return await send({"type": "http.response.body", "body": body})

    async def _healthz(self) -> tuple[int, bytes, bytes]:
        return 200, b"text/plain; charset=utf-8", b"ok\n"

    async def _readyz(self) -> tuple[int, bytes, bytes]:
        ready, said = await self._readiness.state()
        body = json.dumps({"ready": ready, **said}).encode()
        return (200 if ready else 503), b"application/json", body

    async def _numbers(self) -> tuple[int, bytes, bytes]:
        mine = self._snapshot()
        if self._siblings is None:
            snapshots = {"": mine}
        else:
            heard = self._siblings.heard()
            snapshots = {str(n): said["metrics"] for n, said in heard.items()}
            snapshots[str(self._siblings.worker)] = mine
        page = render(snapshots).encode()
        return 200, b"text/plain; version=0.0.4; charset=utf-8", page

    def _snapshot(self) -> dict[str, Any]:
        metrics, guard = self.metrics, self.standing.now.guard
        metrics.gauge("sovereign_guard_queue", self._workers.pending)
        metrics.gauge("sovereign_guard_stuck", self._workers.stuck)
        hits, misses = guard.scanner.cache_counts
        metrics.total("sovereign_guard_cache_total", hits, outcome="hit")
        metrics.total("sovereign_guard_cache_total", misses, outcome="miss")
        metrics.total("sovereign_log_failures_total", self._recorder.results_lost)
        if self._tracer is not None:
            metrics.total("sovereign_traces_dropped_total", self._tracer.dropped)
        return metrics.snapshot()

    async def _live(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan."""
        await receive()
        if self._tracer is not None:
            self._tracer.start()
        self.tell()
        self._ticker = asyncio.create_task(self._tick())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticker
        if self._tracer is not None:
            await self._tracer.close()
        await self._pool.close()
        self._workers.close()
        self._limits.close()
        self._kept.close()
        self._ledger.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tick(self) -> None:
        """What has to be looked at now and then: files that may have changed, and siblings."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.standing.refresh()
            if self._tls is not None:
                self._tls.refresh()
            self.tell()

    def tell(self) -> None:
        """Tell the other workers how we stand."""
        if self._siblings is not None:
            said = {"policy": self.standing.now.policy, "broken": self.standing.broken}
            self._siblings.tell({**said, "metrics": self._snapshot()})


def _reading_s(config: Config) -> float:
    """How long all of the guard's work on one request may take: a request that is inspected twice,
    since a model inside answers it, and its documents. Recognisers look at their own deadline only
    between two texts."""
    return 2 * config.guard.deadline_s + config.documents.seconds


def _watched(config: Config) -> Path | None:
    return None if config.policy.file is None else config.resolve(config.policy.file)


_OWN = {"/healthz": App._healthz, "/readyz": App._readyz, "/metrics": App._numbers}
