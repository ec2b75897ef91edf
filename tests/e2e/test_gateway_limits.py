"""Who may use how much, and the receipt that each answer carries."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from operate import HELLO, chat, until


def test_a_key_over_its_limit_gets_429_on_both_wires(tiny: Any) -> None:
    """Shaped as each SDK expects, with Retry-After, recorded, and nothing sent."""
    made = tiny.run("keys", "create", "--team", "it", "--requests-per-minute", "2", "--json")
    key = json.loads(made.stdout)["key"]
    assert [tiny.ask(key=key).status for _ in range(2)] == [200, 200]
    before = len(tiny.hosted.received())
    answer = tiny.ask(key=key)
    assert (answer.status, answer.error["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert tiny.wait_for(answer.request, "request.refusal")["code"] == "rate_limited"
    body = {**chat("Hello", "claude-test"), "max_tokens": 9}
    answer = tiny.ask(body, "/v1/messages", key=key)
    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
    assert len(tiny.hosted.received()) == before
    numbers = tiny.ask(b"", "/metrics", method="GET", key=None).body.decode()
    assert 'sovereign_limited_total{team="it",code="rate_limited"} 2' in numbers


def test_a_budget_in_tokens_is_settled_by_what_was_used(tiny: Any) -> None:
    """The stand-in reports its use; the record of the result has it, and the next request that does
    not fit is refused for the rest of the month."""
    made = tiny.run("keys", "create", "--team", "it", "--tokens-per-month", "60", "--json")
    new = json.loads(made.stdout)
    answer = tiny.ask(key=new["key"])
    assert answer.status == 200
    used = json.loads(answer.body)["usage"]
    result = tiny.wait_for(answer.request, "request.result")
    assert (result["tokens_in"], result["tokens_out"]) == (
        used["prompt_tokens"],
        used["completion_tokens"],
    )
    answer = tiny.ask({**HELLO, "max_tokens": 60}, key=new["key"])
    assert (answer.status, answer.error["code"]) == (429, "budget_spent")
    assert answer.headers["x-should-retry"] == "false"
    listed = json.loads(tiny.run("keys", "list", "--usage", "--json").stdout)
    mine = next(k for k in listed if k["id"] == new["id"])
    assert mine["used"]["tokens"] == used["prompt_tokens"] + used["completion_tokens"]


def test_keys_are_for_destinations_and_for_a_time(tiny: Any) -> None:
    """A key for inside only reaches nothing hosted; one that has expired opens nothing; one that
    was rotated opens with its new secret, and with the old one as long as they overlap."""

    def made(*how: str) -> Any:
        done = tiny.run("keys", *how, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    inside = made("create", "--team", "it", "--destinations", "inside")
    answer = tiny.ask(key=inside["key"])
    assert (answer.status, answer.error["code"]) == (403, "not_permitted")
    assert tiny.ask(chat("x", "local-test"), key=inside["key"]).status == 200
    brief = made("create", "--team", "it", "--expires", "1s")
    until(lambda: tiny.ask(key=brief["key"]).status == 401)
    lapping = made("rotate", inside["id"], "--overlap", "1h")
    assert lapping["id"] == inside["id"]
    for key in (inside["key"], lapping["key"]):
        assert tiny.ask(chat("x", "local-test"), key=key).status == 200
    at_once = made("rotate", inside["id"])
    assert tiny.ask(chat("x", "local-test"), key=lapping["key"]).status == 401
    assert tiny.ask(chat("x", "local-test"), key=at_once["key"]).status == 200
    kinds = [r["type"] for r in tiny.records() if r.get("key_id") == inside["id"]]
    assert [k for k in kinds if k.startswith("key.")] == ["key.create", "key.rotate", "key.rotate"]


def test_a_receipt_is_found_in_the_log_and_a_changed_one_is_not(tiny: Any, tmp_path: Path) -> None:
    """Every answer has one, a refusal too; checked against the log, or a proof without it."""
    answer = tiny.ask(chat("I am Maria Keller"))
    header = answer.headers["x-sovereign-receipt"]
    assert tiny.wait_for(answer.request, "request.result")
    time.sleep(1.2)  # a checkpoint is signed at least once in a second
    tiny.ask()
    checked = tiny.run("audit", "receipt", header)
    assert checked.returncode == 0, checked.stderr
    assert f"request      {answer.request}" in checked.stdout
    assert "verdict      pseudonymize" in checked.stdout
    refused = tiny.ask(chat("TOPSECRET"))
    assert 'verdict="block"' in refused.headers["x-sovereign-receipt"]
    key = tiny.run("audit", "key").stdout.split()[0]
    proof = tmp_path / "proof"
    index = answer.headers["x-sovereign-record"]
    assert tiny.run("audit", "prove", index, "--out", str(proof)).returncode == 0
    file = tmp_path / "receipt"
    file.write_text(f"x-sovereign-receipt: {header}\n")
    tell = ("audit", "receipt", str(file), "--proof", str(proof), "--key", key)
    assert tiny.run(*tell).returncode == 0
    file.write_text(header.replace("pseudonymize", "allow"))
    forged = tiny.run(*tell)
    assert forged.returncode == 1
    assert "another verdict" in forged.stderr
