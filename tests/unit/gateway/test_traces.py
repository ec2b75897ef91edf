"""Traces follow a caller's trace if it is one, and never hold up a request."""

from __future__ import annotations

import asyncio
import time

import pytest

from sovereign.gateway.traces import MOST_WAITING, Tracer
from sovereign.running import TelemetryConfig

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _tracer(**fields: object) -> Tracer:
    config = {"endpoint": "http://127.0.0.1:9/v1/traces", **fields}
    return Tracer(TelemetryConfig.model_validate(config))


def test_a_callers_trace_goes_on() -> None:
    """Its id and its span are taken over; its flag says whether it is sampled at all."""
    trace = _tracer(sample=0.0).begin(PARENT)
    assert trace is not None
    assert (trace.trace_id, trace.parent_id) == (PARENT[3:35].decode(), PARENT[36:52].decode())
    assert _tracer().begin(PARENT[:-1] + b"0") is None
    assert trace.parent_of() == f"00-{trace.trace_id}-{trace.span_id}-01"


@pytest.mark.parametrize(
    "said",
    [
        *(None, b"", b"00-short-1-01", PARENT.upper(), PARENT + b"-extra", b"ff" + PARENT[2:]),
        *(b"00-" + b"0" * 32 + PARENT[35:], b"00-patient-Maria-Keller-0000000000000000-x-01"),
    ],
)
def test_what_is_no_traceparent_begins_a_new_one(said: bytes | None) -> None:
    """Nothing of it is kept: it is text that a caller wrote."""
    trace = _tracer().begin(said)
    assert trace is not None
    assert trace.parent_id is None
    assert (said or b"none").decode() not in trace.parent_of()
    assert _tracer(sample=0.0).begin(said) is None


def test_without_a_collector_spans_are_dropped_and_counted() -> None:
    """Nothing listens there. Memory stays bounded, and no request waits."""

    async def scene() -> int:
        tracer = _tracer()
        for _ in range(MOST_WAITING + 10):
            trace = tracer.begin(None)
            assert trace is not None
            trace.end("openai.chat", time.time(), failed=False, status=200)
            tracer.take(trace)
        assert tracer.dropped == 10
        await tracer.close()
        return tracer.dropped

    assert asyncio.run(scene()) > 10
