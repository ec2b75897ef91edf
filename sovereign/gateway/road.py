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
from collections.abc import Iterator
from urllib.parse import parse_qsl

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
from sovereign.gateway.clear import Clearance
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.reply import send_back
from sovereign.gateway.upstreams import ANTHROPIC_VERSIONS, Pool, Upstreams
from sovereign.gateway.wires import credential, models_body
from sovereign.gateway.workers import Workers
from sovereign.guard import endpoints
from sovereign.guard.endpoints import Call

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
        recorder: Recorder,
        workers: Workers,
        pool: Pool,
        metrics: Metrics,
        ledger: Ledger,
        max_body_bytes: int,
        max_concurrent: int,
    ) -> None:
        self._keys = keys
        self._clearance = clearance
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
        call = self._endpoint(asked)
        with self._slot():
            raw = await read_body(asked, receive, self._max_body_bytes)
            async with Hangup(receive) as hangup:
                cleared = await self._workers.run(self._clearance.clear, asked, call, raw)
                self._metrics.observe("sovereign_guard_seconds", asked.seconds())
                try:
                    await self._recorder.intent(asked, cleared)
                    await send_back(
                        asked, cleared, self._pool, send, self._recorder.result, self._ledger
                    )
                except UpstreamFailed as e:
                    self._recorder.result(asked, "upstream_failed", e.status)
                    if asked.answering:
                        raise
                    await respond(asked, send, e)
                except asyncio.CancelledError:
                    # An intent that was submitted may be in the log: then it needs its result.
                    self._recorder.result(asked, "client_gone" if hangup.gone else "error", 499)
                    raise

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

    async def _list_models(self, asked: Asked, send: Send) -> None:
        assert asked.key is not None
        names = self._upstreams.names().items()
        mine = {model: at for model, at in names if asked.key.may_use(model)}
        await respond(asked, send, models_body(asked.wire, mine))

    async def _refuse(self, asked: Asked, error: SovereignError, send: Send) -> None:
        """Answers with ``error`` what was not sent, after that was recorded."""
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
