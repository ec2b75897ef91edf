"""/readyz asks the recognisers themselves, and says which part is not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sovereign.gateway import ready
from sovereign.gateway.ready import Readiness
from sovereign.gateway.siblings import Siblings
from sovereign.gateway.workers import Workers
from sovereign.guard import Guard
from sovereign.policy import load_policy
from sovereign.types import Finding


class Fading:
    """Finds the canary as long as it is ``well``."""

    name, build = "fading", "1"

    def __init__(self) -> None:
        self.well = True

    def recognize(self, text: str) -> Sequence[Finding]:
        known = {"EMAIL_ADDRESS": "canary.bird@example.com", "CREDIT_CARD": "4111 1111 1111 1111"}
        return [
            Finding((), text.index(value), text.index(value) + len(value), entity, 1.0, self.name)
            for entity, value in known.items()
            if self.well and value in text
        ]


class _Now:
    def __init__(self, guard: Guard) -> None:
        self.guard, self.policy = guard, guard.policy.digest()


class _Standing:
    def __init__(self, guard: Guard) -> None:
        self.now, self.broken = _Now(guard), False


class _Recorder:
    failing = False


class _Engine:
    alive = True


def _readiness(folder: Path, siblings: Siblings | None = None) -> tuple[Any, Fading, _Engine]:
    recognizer, engine = Fading(), _Engine()
    guard = Guard(load_policy(preset="direct"), [recognizer], key=b"k" * 32)
    made: Any = Readiness(
        _Standing(guard),  # type: ignore[arg-type]
        _Recorder(),  # type: ignore[arg-type]
        folder,
        {"llama": engine},
        Workers(4, 60),
        siblings,
    )
    return made, recognizer, engine


def _state(made: Any) -> tuple[bool, dict[str, str]]:
    made._asked = float("-inf")  # as if the second of the last answer were over
    answer: tuple[bool, dict[str, str]] = asyncio.run(made.state())
    return answer


def test_a_recogniser_that_stops_finding_is_seen(tmp_path: Path) -> None:
    """The canary is live: what the guard found yesterday proves nothing."""
    made, recognizer, engine = _readiness(tmp_path)
    assert _state(made)[0]
    recognizer.well = False
    ok, parts = _state(made)
    assert (ok, parts["guard"]) == (False, "recognizer_failed")
    recognizer.well, engine.alive = True, False
    ok, parts = _state(made)
    assert (ok, parts["guard"], parts["model llama"]) == (False, "ok", "down")


def test_workers_that_disagree_for_long_are_not_ready(tmp_path: Path, monkeypatch: Any) -> None:
    """For a moment they may: each reads a new policy file in its own time."""
    made, _, _ = _readiness(tmp_path, Siblings(tmp_path, 0, 2))
    Siblings(tmp_path, 1, 2).tell({"policy": "another", "metrics": {}})
    ok, parts = _state(made)
    assert (ok, parts["workers"]) == (True, "ok")
    monkeypatch.setattr(ready, "DISAGREE_S", 0.0)
    ok, parts = _state(made)
    assert (ok, parts["workers"]) == (False, "disagree")
    Siblings(tmp_path, 1, 2).tell({"policy": parts["policy"], "metrics": {}})
    monkeypatch.setattr(ready, "DISAGREE_S", 15.0)
    assert _state(made)[0]


def test_draining_is_not_ready(tmp_path: Path) -> None:
    """Whatever else is well."""
    made, _, _ = _readiness(tmp_path)
    made.draining = True
    ok, parts = _state(made)
    assert (ok, parts["gateway"]) == (False, "draining")
