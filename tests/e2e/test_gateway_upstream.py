"""Destinations that are busy, slow or too fast."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from operate import CHAT, Destination, before, chat, configure


def test_only_what_nobody_acted_on_is_sent_again(gateway_at: Any) -> None:
    """Busy with a Retry-After that fits: tried again, and the result says how often. Longer ones
    are the caller's to wait for; a connection that breaks is not tried again."""
    own = Destination(["busy 0", "ok", "busy 60", "ok", "busy 0"])
    gateway = before(gateway_at, f"http://127.0.0.1:{own.server_port}", "retries = 2\n")
    answer = gateway.ask(chat("x", "own-test"))
    assert (answer.status, own.seen) == (200, 2)
    assert gateway.wait_for(answer.request, "request.result")["tries"] == 2
    assert [r["type"] for r in gateway.records(answer.request)] == [
        *("request.intent", "request.result")
    ]
    answer = gateway.ask(chat("x", "own-test"))
    assert (answer.status, answer.headers["retry-after"], own.seen) == (503, "60", 3)
    assert gateway.ask(chat("x", "own-test")).status == 200
    answer = gateway.ask(chat("x", "own-test"))
    assert (answer.status, own.seen) == (503, 7)
    gateway.stop()
    own.shutdown()
    own.server_close()


def test_a_destination_that_stalls_is_given_up(gateway_at: Any) -> None:
    """Before its first byte: 504. In the middle of a stream: an error event, so that the SDK
    raises."""
    own = Destination(["stall at once", "stall"])
    gateway = before(
        gateway_at, f"http://127.0.0.1:{own.server_port}", "first_byte_s = 0.5\nidle_s = 0.5\n"
    )
    began = time.monotonic()
    answer = gateway.ask(chat("x", "own-test", stream=True))
    assert (answer.status, answer.error["code"]) == (504, "upstream_failed")
    answer = gateway.ask(chat("x", "own-test", stream=True))
    assert answer.status == 200
    assert b'"error"' in answer.body.split(b"\n\n")[-2]
    assert time.monotonic() - began < 4
    gateway.stop()
    own.shutdown()
    own.server_close()


def test_a_slow_caller_does_not_fill_memory(gateway_at: Any) -> None:
    """200 MB of stream, and a caller who reads nothing: what is not taken stays with the
    destination."""
    own = Destination(["flood"])
    gateway = before(gateway_at, f"http://127.0.0.1:{own.server_port}")
    assert gateway.process is not None
    gateway.ask()

    def resident() -> int:
        lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmRSS")).split()[1])

    at_first = resident()
    request = urllib.request.Request(
        gateway.url + CHAT,
        json.dumps(chat("x", "own-test", stream=True)).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {gateway.key}"},
    )
    with urllib.request.urlopen(request, timeout=20):
        last = -1
        while own.sent != last:  # until the destination is held back
            last = own.sent
            time.sleep(0.7)
        assert own.sent < 50_000_000
        assert resident() - at_first < 30_000
    gateway.stop()
    own.shutdown()
    own.server_close()


def test_each_team_has_a_salt_of_its_own_for_vllms_cache(gateway_at: Any) -> None:
    """Else the time of an answer tells one team what another asked (CVE-2025-46570). A caller
    cannot name another's; the log has the hash of what was sent."""
    own = Destination(["ok"])
    gateway = gateway_at(tiny=True)
    url = f"http://127.0.0.1:{own.server_port}/v1"
    table = f'[upstream.own]\nside = "local"\nbase_url = "{url}"\nmodels = ["own-test"]\n'
    configure(gateway, more=f"{table}cache_salt = true\n")
    made = gateway.run("keys", "create", "--team", "oncology", "--json")
    gateway.start()
    mine, other = "its own", json.loads(made.stdout)["key"]
    salts = []
    for key, more in ((mine, {}), (mine, {"cache_salt": "of another team"}), (other, {})):
        answer = gateway.ask(chat("x", "own-test") | more, key=key)
        assert answer.status == 200
        raw = own.bodies[-1]
        intent = gateway.records(answer.request)[0]
        assert intent["body_sha256"] == hashlib.sha256(raw).hexdigest()
        assert raw.count(b"cache_salt") == 1
        salts.append(json.loads(raw)["cache_salt"])
    assert salts[0] == salts[1] != salts[2]
    assert all(len(salt) == 32 for salt in salts)
    gateway.stop()
    own.shutdown()
    own.server_close()
