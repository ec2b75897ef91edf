"""A log behind its sequencer, for tests: records, clients, and a sequencer that can be killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from typing import Any

from sovereign.audit import record
from sovereign.audit.client import Client
from sovereign.audit.starting import Starter

KEY = bytes(range(32))
ORIGIN = "log.example/a"


def begin(at: Starter, **changes: Any) -> Client:
    fields: dict[str, Any] = {"source": "test", "starter": at, "patience": 10.0}
    return Client.open(at.folder, **(fields | changes))


def some(n: int = 0) -> dict[str, Any]:
    return record.result(request=f"r{n}", status=200, outcome="ok", bytes_in=n, duration_ms=1)


def intent(n: int) -> dict[str, Any]:
    fields = {"team": "t", "key_id": "k", "endpoint": "e", "model": "m", "destination": "d"}
    digests = {"policy": "a" * 64, "guard_build": "b" * 64, "body_sha256": "c" * 64}
    numbers = {"bytes_out": 1, "stream": False, "rerouted": False, "entities": {}}
    words = {"side": "hosted", "verdict": "allow", "request": f"i{n}"}
    return record.event("request.intent", **fields, **digests, **numbers, **words)


def pid_of(starter: Starter) -> int:
    return int((starter.folder / "sequencer.lock").read_text())


def kill(starter: Starter) -> None:
    os.kill(pid_of(starter), signal.SIGKILL)
    wait_until(lambda: not starter.answers())


def wait_until(true: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.005)


def stored(starter: Starter) -> list[dict[str, Any]]:
    with sqlite3.connect(starter.folder / "log.db") as db:
        rows = db.execute("SELECT bytes FROM record ORDER BY idx").fetchall()
    db.close()
    return [json.loads(row[0]) for row in rows]
