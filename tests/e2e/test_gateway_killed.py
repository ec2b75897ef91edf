"""`kill -9` of the gateway, or of the log's sequencer, at any moment: no request is at an upstream
without its record."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

KILLS = 10
CALLERS = 6


def _kill_sequencer(gateway: Any) -> None:
    pid = int((gateway.folder / "audit" / "sequencer.lock").read_text())
    os.kill(pid, signal.SIGKILL)


def _call_until(stop: threading.Event, gateway: Any, number: int) -> None:
    turn = 0
    while not stop.is_set():
        turn += 1
        text = f"Maria Kx{number}x{turn} asks"
        messages = [{"role": "user", "content": text}]
        model = "gpt-test" if turn % 3 else "local-test"
        body = {"model": model, "messages": messages, "stream": bool(turn % 2)}
        request = urllib.request.Request(
            f"{gateway.url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {gateway.key}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                reply.read()
        except (urllib.error.URLError, HTTPException, OSError):
            time.sleep(0.01)  # it was killed; the next one will be there soon


def test_every_request_that_got_out_is_in_the_log(gateway_at: Any) -> None:
    """Ten kills of the gateway at random moments under load, and five of its sequencer before.
    Each id that a stand-in received has an intent whose
    bytes are those that it received, and the log still verifies."""
    gateway = gateway_at(tiny=True)
    before = gateway.hosted.ids() | gateway.local.ids()
    chance = random.Random(9)
    for turn in range(KILLS):
        gateway.start()
        stop = threading.Event()
        callers = [
            threading.Thread(target=_call_until, args=(stop, gateway, n)) for n in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        time.sleep(chance.uniform(0.1, 0.6))
        if turn % 2:
            _kill_sequencer(gateway)  # the gateway starts another, and goes on
            time.sleep(chance.uniform(0.0, 0.6))
        gateway.kill()
        stop.set()
        for caller in callers:
            caller.join()
    gateway.start()
    assert gateway.stop() == 0

    intents = {r["request"]: r for r in gateway.records() if r["type"] == "request.intent"}
    reached = (gateway.hosted.ids() | gateway.local.ids()) - before
    assert len(reached) > 10 * KILLS, "there was load"
    assert reached <= intents.keys()
    by_id = {
        dict(r["headers"])["x-request-id"]: r
        for r in [*gateway.hosted.received(), *gateway.local.received()]
    }
    for request in reached:
        body = by_id[request]["body"]
        assert hashlib.sha256(body).hexdigest() == intents[request]["body_sha256"]
        assert len(body) == intents[request]["bytes_out"]
        if intents[request]["side"] == "hosted":
            assert b"Maria" not in body
    verified = gateway.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr
