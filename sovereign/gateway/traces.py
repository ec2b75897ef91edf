"""Traces in OpenTelemetry's wire format (OTLP over HTTP, JSON encoding), without any content.

A span's attributes are words of the configuration and of this code, numbers and digests. They are
posted to the one endpoint that ``[telemetry]`` names, by nobody but this module, in the background;
what the collector does not take is dropped and counted. Specification: opentelemetry.io/docs/specs
/otlp; W3C Trace Context.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sovereign import __version__
from sovereign.gateway.http1 import Connections, Failed, Origin, head_of
from sovereign.running import TelemetryConfig

__all__ = ["Trace", "Tracer"]

_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
MOST_WAITING = 4096
BATCH = 512
EVERY_S = 1.0
POST_S = 5.0
SERVER, INTERNAL, CLIENT = 2, 1, 3
OK, ERROR = 1, 2

Value = str | int | float | bool


@dataclass(slots=True)
class Trace:
    """One request: its server span, and what it was spent on. Times are seconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str | None
    began: float
    spans: list[dict[str, Any]] = field(default_factory=list)

    def span(self, name: str, began: float, ended: float, kind: int, **attributes: Value) -> str:
        """Something that was done for the request; its span's id."""
        span_id = secrets.token_hex(8)
        self.spans.append(self._span(name, span_id, self.span_id, began, ended, kind, attributes))
        return span_id

    def end(self, name: str, ended: float, *, failed: bool, **attributes: Value) -> None:
        """The request is over."""
        span = self._span(name, self.span_id, self.parent_id, self.began, ended, SERVER, attributes)
        span["status"] = {"code": ERROR if failed else OK}
        self.spans.append(span)

    def parent_of(self, span_id: str | None = None) -> str:
        """A traceparent header under which a destination's spans belong to this request."""
        return f"00-{self.trace_id}-{span_id or self.span_id}-01"

    def _span(
        self,
        name: str,
        span_id: str,
        parent: str | None,
        began: float,
        ended: float,
        kind: int,
        attributes: Mapping[str, Value],
    ) -> dict[str, Any]:
        span = {
            "traceId": self.trace_id,
            "spanId": span_id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(int(began * 1e9)),
            "endTimeUnixNano": str(int(ended * 1e9)),
            "attributes": _attributes(attributes),
        }
        return span if parent is None else {**span, "parentSpanId": parent}


class Tracer:
    """Collects ended traces and posts them. Belongs to one event loop."""

    def __init__(self, config: TelemetryConfig, *, worker: int = 0) -> None:
        self._config = config
        self._worker = worker
        self._waiting: list[dict[str, Any]] = []
        self._collector: Connections | None = None
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def begin(self, traceparent: bytes | None) -> Trace | None:
        """A trace for a request, or None if it is not sampled. A caller's traceparent is followed
        if it is one; its flag decides then."""
        match = _TRACEPARENT.fullmatch(traceparent or b"")
        if match is not None and set(match[1]) != {48} and set(match[2]) != {48}:
            if not int(match[3], 16) & 1:
                return None
            return Trace(match[1].decode(), secrets.token_hex(8), match[2].decode(), time.time())
        if self._config.sample < 1 and random.random() >= self._config.sample:  # noqa: S311
            return None
        return Trace(secrets.token_hex(16), secrets.token_hex(8), None, time.time())

    def take(self, trace: Trace) -> None:
        """Post it some time; nobody waits."""
        if len(self._waiting) + len(trace.spans) > MOST_WAITING:
            self.dropped += len(trace.spans)
            return
        self._waiting += trace.spans

    def start(self) -> None:
        """Begin to post."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Post what waits, once, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._post()
        if self._collector is not None:
            self._collector.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._post()

    async def _post(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not await self._posted(batch):
                self.dropped += len(batch)
                return

    async def _posted(self, spans: list[dict[str, Any]]) -> bool:
        resource = {
            "service.name": self._config.service,
            "service.version": __version__,
            "service.instance.id": str(self._worker),
        }
        scope = {"name": "sovereign.gateway", "version": __version__}
        body = {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeSpans": [{"scope": scope, "spans": spans}],
                }
            ]
        }
        if self._collector is None:
            self._collector = Connections(
                Origin.of(self._config.endpoint), limit=1, keep_s=2 * EVERY_S, connect_s=POST_S
            )
        origin, raw = self._collector.origin, json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        head = head_of("POST", origin.target(self._config.endpoint), origin, kind, len(raw))
        try:
            async with asyncio.timeout(POST_S), self._collector.one() as connection:
                connection.send(head, raw)
                await connection.head()
                while await connection.readany():
                    pass  # nothing in it is for us
                return 200 <= connection.status < 300
        except (Failed, TimeoutError):
            return False


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value}
