"""What is told to the log of a request, and what of it is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from sovereign.gateway.asked import Asked
from sovereign.gateway.clear import Cleared
from sovereign.gateway.keyfile import Key
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.upstreams import Upstream
from sovereign.guard import Restorer
from sovereign.guard.endpoints import match
from sovereign.guard.shapes import SHAPES
from sovereign.types import JSON, Action, Destination, Receipt, Verdict

TO = Destination("openai", "hosted")
CALL = match("POST", "/v1/chat/completions")
assert CALL is not None


class Sets:
    """A log that takes everything, and sets the clock back by an hour for each record."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def submit(self, _: Mapping[str, JSON]) -> Future[Receipt]:
        then = time.time() - 3600
        self._patch.setattr(time, "time", lambda: then)
        taken: Future[Receipt] = Future()
        taken.set_result(Receipt(0, bytes(32)))
        return taken


def test_a_clock_that_is_set_back_shortens_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of durations that falls is a counter that was reset, to whoever reads it."""
    asked = Asked("req_1", "POST", "/v1/chat/completions", b"", {}, "openai")
    asked.key, asked.model, asked.guard_build = Key("k", "it", (), "", ""), "m", "b" * 64
    cleared = Cleared(
        upstream=Upstream(TO, "openai", "http://x/v1", ("m",), 1.0),
        shape=SHAPES["openai.chat"],
        url="http://x/v1",
        headers={},
        raw=b"{}",
        sha256="c" * 64,
        stream=False,
        translation=None,
        rerouted=False,
        verdict=Verdict(Action.ALLOW, TO, "a" * 64),
        restorer=Restorer({}),
        endpoint=CALL.endpoint,
    )
    metrics = Metrics()

    async def run() -> None:
        await Recorder(Sets(monkeypatch), metrics).intent(asked, cleared).landed()

    asyncio.run(run())
    (said,) = [h for h in metrics.snapshot()["histograms"] if h[0] == "sovereign_audit_seconds"]
    assert 0 <= said[2] < 60
