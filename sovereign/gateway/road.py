"""The one road through the door, per request, in the order in which it is read here.

Nothing is sent before its intent is durable in the log; what is not sent is recorded as refused; if
nothing can be recorded, nothing is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

from sovereign.audit import record
from sovereign.errors import (
    AuditError,
    LogUnavailable,
    Overloaded,
    SovereignError,
    UnknownEndpoint,
    Unreadable,
    UpstreamFailed,
)
from sovereign.gateway.asked import (
    Asked,
    ClientGone,
    Hangup,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
)
from sovereign.gateway.clear import Clearance, Cleared
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.reply import send_back
from sovereign.gateway.upstreams import Pool, Upstreams
from sovereign.gateway.wires import credential, models_body
from sovereign.gateway.workers import Workers
from sovereign.guard.shapes import Shape, endpoint
from sovereign.types import JSON, Receipt, Sink

__all__ = ["Road"]

LOGGER = logging.getLogger("sovereign.gateway")


class Road:
    """An ASGI application that takes every path."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        clearance: Clearance,
        upstreams: Upstreams,
        log: Sink,
        workers: Workers,
        pool: Pool,
        metrics: Metrics,
        guard_build: str,
        max_body_bytes: int,
        max_concurrent: int,
    ) -> None:
        self._keys = keys
        self._clearance = clearance
        self._upstreams = upstreams
        self._log = log
        self._workers = workers
        self._pool = pool
        self._metrics = metrics
        self._guard_build = guard_build
        self._max_body_bytes = max_body_bytes
        self._max_concurrent = max_concurrent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked.from_scope(scope)
        try:
            await self._walk(asked, receive, send)
        except SovereignError as e:
            await self._refuse(asked, e, send)
        except Exception as e:  # noqa: BLE001 - the door stays shut on what nobody thought of
            # The type only: a message or a traceback may hold what the caller sent.
            LOGGER.error("request %s failed on %s", asked.id, type(e).__name__)
            await self._refuse(asked, SovereignError("the gateway failed on this request"), send)
        finally:
            self._metrics.observe("sovereign_request_seconds", asked.seconds())

    async def _walk(self, asked: Asked, receive: Receive, send: Send) -> None:
        asked.key = self._keys.authenticate(credential(asked.headers, asked.wire))
        if (asked.method, asked.path) == ("GET", "/v1/models"):
            return await self._list_models(asked, send)
        shape = self._endpoint(asked)
        with self._slot():
            raw = await read_body(asked, receive, self._max_body_bytes)
            async with Hangup(receive) as hangup:
                cleared = await self._workers.run(self._clearance.clear, asked, shape, raw)
                self._metrics.observe("sovereign_guard_seconds", asked.seconds())
                try:
                    await self._record_intent(asked, cleared)
                    await send_back(asked, cleared, self._pool, send, self._record_result)
                except UpstreamFailed as e:
                    self._record_result(asked, "upstream_failed", e.status)
                    await respond(asked, send, e)
                except asyncio.CancelledError:
                    # An intent that was submitted may be in the log: then it needs its result.
                    self._record_result(asked, "client_gone" if hangup.gone else "error", 499)
                    raise

    def _endpoint(self, asked: Asked) -> Shape:
        shape = endpoint(asked.method, asked.path)
        if shape is None:
            raise UnknownEndpoint(
                "nobody inspects this method and path here, so nothing is passed on",
                hint="docs/gateway.md lists the endpoints",
            )
        asked.endpoint = shape.name
        if asked.query:
            raise Unreadable("a query string is not passed on", hint="leave it out")
        version = asked.header("anthropic-version")
        if asked.wire == "anthropic" and version not in (None, "2023-06-01"):
            raise Unreadable("the anthropic-version is not one that is known here: 2023-06-01")
        return shape

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._metrics.in_flight >= self._max_concurrent:
            raise Overloaded("the gateway is at its limit of requests", hint="try again shortly")
        self._metrics.in_flight += 1
        try:
            yield
        finally:
            self._metrics.in_flight -= 1

    async def _list_models(self, asked: Asked, send: Send) -> None:
        assert asked.key is not None
        names = self._upstreams.names().items()
        mine = {model: at for model, at in names if asked.key.may_use(model)}
        await respond(asked, send, models_body(asked.wire, mine))

    async def _record_intent(self, asked: Asked, cleared: Cleared) -> None:
        assert asked.key is not None
        assert asked.model is not None
        intent = record.intent(
            request=asked.id,
            team=asked.key.team,
            key_id=asked.key.id,
            endpoint=asked.endpoint,
            model=asked.model,
            destination=cleared.upstream.destination,
            verdict=cleared.verdict,
            guard_build=self._guard_build,
            body_sha256=cleared.sha256,
            bytes_out=len(cleared.raw),
            stream=cleared.stream,
            rerouted=cleared.rerouted,
        )
        asked.intended = True
        try:
            asked.receipt = await self._durable(intent)
        except AuditError:
            asked.intended = False
            raise
        verb = cleared.verdict.action.verb
        self._metrics.count(
            "sovereign_verdicts_total", destination=cleared.upstream.destination.name, verb=verb
        )

    async def _durable(self, fields: Mapping[str, JSON]) -> Receipt:
        try:
            # Shielded: cancelling our wait must not cancel the log's own future.
            return await asyncio.shield(asyncio.wrap_future(self._log.submit(fields)))
        except AuditError:
            self._metrics.count("sovereign_audit_failures_total")
            raise
        except Exception as e:  # noqa: BLE001 - whatever it is, there is no record
            self._metrics.count("sovereign_audit_failures_total")
            LOGGER.error("the audit log failed with %s", type(e).__name__)
            raise LogUnavailable("the audit log cannot take a record") from None

    def _record_result(self, asked: Asked, outcome: str, status: int) -> None:
        """Once per request. Nobody waits for it: if the log fails, the next intent will tell."""
        if asked.ended:
            return
        asked.ended = True
        try:
            submitted = self._log.submit(
                record.result(
                    request=asked.id,
                    status=status,
                    outcome=outcome,
                    bytes_in=asked.bytes_in,
                    duration_ms=int(asked.seconds() * 1000),
                )
            )
            submitted.add_done_callback(_say_if_lost)
        except AuditError as e:
            LOGGER.error("the result of request %s was not recorded: %s", asked.id, e.message)
        destination = asked.destination.name if asked.destination else "none"
        self._metrics.count(
            "sovereign_requests_total",
            endpoint=asked.endpoint,
            destination=destination,
            outcome=outcome,
        )

    async def _refuse(self, asked: Asked, error: SovereignError, send: Send) -> None:
        """Answers with ``error`` what was not sent, after it was recorded."""
        if asked.intended:
            self._record_result(asked, "error", error.status)
        else:
            self._metrics.count("sovereign_refusals_total", code=error.code)
            try:
                asked.receipt = await self._durable(
                    record.refusal(
                        request=asked.id,
                        team=asked.key.team if asked.key else None,
                        key_id=asked.key.id if asked.key else None,
                        endpoint=asked.endpoint,
                        model=asked.model,
                        code=error.code,
                        status=error.status,
                        verdict=asked.verdict,
                    )
                )
            except AuditError as e:
                LOGGER.error("the refusal of request %s was not recorded: %s", asked.id, e.message)
                error = e if e.status == 503 else LogUnavailable("the refusal was not recorded")
        if not isinstance(error, ClientGone) and not asked.answering:
            await respond(asked, send, error)


def _say_if_lost(submitted: Future[Receipt]) -> None:
    if not submitted.cancelled() and submitted.exception() is not None:
        LOGGER.error("a result was not recorded: %s", type(submitted.exception()).__name__)
