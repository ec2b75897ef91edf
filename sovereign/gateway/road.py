"""The one road through the door, per request, in the order in which it is read here.

Nothing is sent before its intent is durable in the log; what is not sent is recorded as refused; if
nothing can be recorded, nothing is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl

from sovereign.errors import (
    AuditError,
    LimitsUnavailable,
    LogUnavailable,
    Overloaded,
    RateLimited,
    SovereignError,
    UnknownEndpoint,
    UnknownModel,
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
from sovereign.gateway.clear import Cleared
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.limits import Admission, Limits
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.pool import Pool
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.reply import send_back
from sovereign.gateway.standing import Standing
from sovereign.gateway.traces import CLIENT, INTERNAL, Tracer
from sovereign.gateway.upstreams import ANTHROPIC_VERSIONS, Upstreams
from sovereign.gateway.wires import credential, model_body, models_body
from sovereign.gateway.workers import Workers
from sovereign.guard import TakesLong, endpoints
from sovereign.guard.endpoints import Call

__all__ = ["Road"]

LOGGER = logging.getLogger("sovereign.gateway")


class Road:
    """An ASGI application that takes every path."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        standing: Standing,
        limits: Limits,
        upstreams: Upstreams,
        recorder: Recorder,
        workers: Workers,
        pool: Pool,
        metrics: Metrics,
        ledger: Ledger,
        tracer: Tracer | None,
        origin: str,
        propagate_to: frozenset[str],
        log_requests: bool,
        max_body_bytes: int,
        max_concurrent: int,
    ) -> None:
        """``origin`` is the audit log's name, for receipts."""
        self._keys = keys
        self._standing = standing
        self._limits = limits
        self._tracer = tracer
        self._origin = origin
        self._propagate_to = propagate_to
        self._log_requests = log_requests
        self._upstreams = upstreams
        self._recorder = recorder
        self._workers = workers
        self._pool = pool
        self._metrics = metrics
        self._ledger = ledger
        self._max_body_bytes = max_body_bytes
        self._max_concurrent = max_concurrent
        # Unique over all gateways and restarts, without asking the kernel for chance each time.
        self._start = secrets.token_hex(10)
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked.from_scope(scope, f"req_{self._start}{next(self._numbers):08x}")
        asked.origin = self._origin
        if self._tracer is not None:
            asked.trace = self._tracer.begin(asked.headers.get(b"traceparent"))
        try:
            await self._walk(asked, receive, send)
        except SovereignError as e:
            await self._refuse(asked, e, send)
        except Exception as e:  # noqa: BLE001 - the door stays shut on what nobody thought of
            # The type only: a message or a traceback may hold what the caller sent.
            LOGGER.error("request %s failed on %s", asked.id, type(e).__name__)
            await self._refuse(asked, SovereignError("the gateway failed on this request"), send)
        finally:
            self._say(asked)

    async def _walk(self, asked: Asked, receive: Receive, send: Send) -> None:
        asked.key = self._keys.authenticate(
            credential(asked.headers, asked.wire), certificate=asked.certificate
        )
        if asked.method == "GET" and (asked.path + "/").startswith("/v1/models/"):
            await self._tell_models(asked, send)
            return
        call = self._endpoint(asked)
        with self._slot(), self._admitted(asked) as admission:
            raw = await read_body(asked, receive, self._max_body_bytes)
            async with Hangup(receive) as hangup:
                # The guard of this moment, to the end: a reload does not change a running request.
                in_use = self._standing.now
                asked.guard_build = in_use.guard.build
                began = time.time()
                clear = in_use.clearance.clear
                try:  # to hand it to a thread and back costs as much as reading a short text
                    cleared = clear(asked, call, raw, quick=True)
                except TakesLong:
                    cleared = await self._workers.run(clear, asked, call, raw)
                self._metrics.observe("sovereign_guard_seconds", asked.seconds())
                if asked.trace is not None:
                    asked.trace.span("guard", began, time.time(), INTERNAL)
                if admission is not None:
                    side = cleared.upstream.destination.side
                    admission.reserve(cleared.raw, asked.named, side)
                await self._send(asked, cleared, send, hangup)

    async def _send(self, asked: Asked, cleared: Cleared, send: Send, hangup: Hangup) -> None:
        """Intent, the bytes, the answer, and its result."""
        name = cleared.upstream.destination.name
        if asked.trace is not None and name in self._propagate_to:
            cleared.headers["Traceparent"] = asked.trace.parent_of()
        try:
            intent = self._recorder.intent(asked, cleared)
            await asyncio.sleep(0)  # it goes to the disk, while what may follow it is made ready
            cleared.restorer.prepare(stream=cleared.stream)
            try:
                await send_back(
                    asked, cleared, self._pool, send, self._recorder, intent, self._ledger
                )
            finally:
                if asked.trace is not None and intent.landed_at is not None:
                    tries = asked.attempts.count
                    asked.trace.span(
                        name, intent.landed_at, time.time(), CLIENT, destination=name, tries=tries
                    )
        except UpstreamFailed as e:
            self._recorder.result(asked, "upstream_failed", e.status)
            if asked.answering:
                raise
            asked.code = e.code
            await respond(asked, send, e)
        except asyncio.CancelledError:
            # An intent that was submitted may be in the log: then it needs its result.
            self._recorder.result(asked, "client_gone" if hangup.gone else "error", 499)
            raise

    @contextlib.contextmanager
    def _admitted(self, asked: Asked) -> Iterator[Admission | None]:
        """Within the limits of the key and its team, which get back what was not used."""
        assert asked.key is not None
        try:
            admission = self._limits.admit(asked.id, asked.key)
        except RateLimited as e:
            self._metrics.count("sovereign_limited_total", team=asked.key.team, code=e.code)
            raise
        try:
            yield admission
        except RateLimited as e:
            self._metrics.count("sovereign_limited_total", team=asked.key.team, code=e.code)
            raise
        finally:
            if admission is not None:
                sent = asked.bytes_in > 0
                try:
                    admission.end(asked.used, sent=sent, bytes_in=asked.bytes_in)
                except LimitsUnavailable as e:  # it stays counted as under way, or as reserved
                    self._metrics.count("sovereign_usage_failures_total")
                    LOGGER.error("request %s was not counted: %s", asked.id, e.message)

    def _say(self, asked: Asked) -> None:
        """The request is over: numbers, a line and a trace, none with any content."""
        seconds = asked.seconds()
        observe = self._metrics.observe
        name = asked.destination.name if asked.destination else None
        observe("sovereign_request_seconds", seconds)
        if name and asked.attempts.waited is not None:
            observe("sovereign_upstream_seconds", asked.attempts.waited, destination=name)
        if asked.first_s is not None:
            observe("sovereign_first_event_seconds", asked.first_s)
        if name and asked.attempts.count:
            self._metrics.count(
                "sovereign_upstream_tries_total", asked.attempts.count, destination=name
            )
        if asked.key is not None and (asked.used.input or asked.used.output):
            tokens = "sovereign_tokens_total"
            self._metrics.count(tokens, asked.used.input, team=asked.key.team, direction="in")
            self._metrics.count(tokens, asked.used.output, team=asked.key.team, direction="out")
        if not self._log_requests and asked.trace is None:
            return
        said: dict[str, str | int | None] = {
            "request": asked.id,
            "team": asked.key.team if asked.key else None,
            "key_id": asked.key.id if asked.key else None,
            "endpoint": asked.endpoint,
            "model": asked.model,
            "destination": name,
            "verdict": asked.verdict.action.verb if asked.verdict else None,
            "record": asked.receipt.index if asked.receipt else None,
            "status": asked.status,
            "code": asked.code,
            "tries": asked.attempts.count or None,
            "bytes_in": asked.bytes_in or None,
            "tokens_in": asked.used.input or None,
            "tokens_out": asked.used.output or None,
        }
        if self._log_requests:
            took = {"trace": asked.trace and asked.trace.trace_id, "ms": round(seconds * 1000, 2)}
            LOGGER.info("request", extra={"fields": {**said, **took}})
        if asked.trace is not None and self._tracer is not None:
            known = {k: v for k, v in said.items() if v is not None}
            failed = asked.status >= 500 or asked.status == 0
            asked.trace.end(asked.endpoint, time.time(), failed=failed, **known)
            self._tracer.take(asked.trace)

    def _endpoint(self, asked: Asked) -> Call:
        call = endpoints.match(asked.method, asked.path, asked.wire)
        if call is None:
            raise UnknownEndpoint(
                "nobody inspects this method and path here, so nothing is passed on",
                hint="docs/endpoints.md lists the endpoints",
            )
        asked.endpoint = call.endpoint.name
        if call.endpoint.does == "refused":
            raise UnknownEndpoint(
                "this endpoint is refused here, so nothing is passed on", hint=call.endpoint.why
            )
        if asked.query:
            asked.pairs = _pairs(asked.query)
            wrong = endpoints.query(call.endpoint, asked.pairs)
            if wrong is not None:
                raise Unreadable(f"the query string holds {wrong}", hint="leave it out")
        asked.version = asked.header("anthropic-version")
        if asked.version not in (None, *ANTHROPIC_VERSIONS):
            raise Unreadable(
                "the anthropic-version is not one that is known here",
                hint=f"known: {', '.join(ANTHROPIC_VERSIONS)}",
            )
        return call

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._metrics.in_flight >= self._max_concurrent:
            raise Overloaded("the gateway is at its limit of requests", hint="try again shortly")
        self._metrics.in_flight += 1
        try:
            yield
        finally:
            self._metrics.in_flight -= 1

    async def _tell_models(self, asked: Asked, send: Send) -> None:
        """All that the key may use, or the one that the path names. Nobody is asked for it."""
        assert asked.key is not None
        names = self._upstreams.names().items()
        mine = {model: at for model, at in names if asked.key.may_use(model)}
        one = asked.path.removeprefix("/v1/models").removeprefix("/")
        if not one:
            await respond(asked, send, models_body(asked.wire, mine))
        elif one in mine:
            await respond(asked, send, model_body(asked.wire, one, mine[one]))
        else:
            raise UnknownModel(
                "there is no such model for this key", hint="GET /v1/models lists what there is"
            )

    async def _refuse(self, asked: Asked, error: SovereignError, send: Send) -> None:
        """Answers with ``error`` what was not sent, after that was recorded."""
        asked.code = error.code
        if asked.intended:
            outcome = "client_gone" if isinstance(error, ClientGone) else "error"
            self._recorder.result(asked, outcome, error.status)
        else:
            try:
                await self._recorder.refusal(asked, error)
            except AuditError as e:
                LOGGER.error("the refusal of request %s was not recorded: %s", asked.id, e.message)
                error = e if e.status == 503 else LogUnavailable("the refusal was not recorded")
        if not isinstance(error, ClientGone) and not asked.answering:
            await respond(asked, send, error)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=16
        )
    except ValueError:
        raise Unreadable("the query string is not sound", hint="leave it out") from None
