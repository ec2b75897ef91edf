"""A regulator's question, asked of a log that a running gateway wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sovereign.audit.note import Verifier
from sovereign.audit.proof import Proof

SSN, OTHER = "536-90-4399", "536-90-4388"


def ask(gateway: Any, text: str) -> Any:
    return gateway.ask({"model": "gpt-test", "messages": [{"role": "user", "content": text}]})


def search(gateway: Any, value: str, *more: str) -> dict[str, Any]:
    done = gateway.run("audit", "search", "--value", value, *more, "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if answer["answer"] == "unknown" else 0), done.stderr
    return answer


def test_was_this_number_ever_in_a_request(full: Any, tmp_path: Path) -> None:
    """Yes, with the decision and a proof that needs no log; no for another number; and none of the
    values is in any file of the log, the index or the proof."""
    sent = ask(full, f"The patient's SSN is {SSN}. Please write the letter.")
    assert sent.status == 200
    ask(full, "Thank you, that will be all for today.")
    full.wait_for(sent.request, "request.result")
    yes = search(full, SSN.replace("-", " "), "--entity", "US_SSN")
    assert yes["answer"] == "yes"
    (found,) = [r for r in yes["records"] if r["record"]["request"] == sent.request]
    assert found["record"]["side"] == "hosted"
    assert found["record"]["team"] == "cardiology"
    no = search(full, OTHER)
    assert (no["answer"], no["without_tokens"]) == ("no", 0)
    assert no["decisions"] >= 2

    proof = tmp_path / "decision.tlog-proof"
    made = full.run("audit", "prove", str(found["index"]), "--out", str(proof))
    assert made.returncode == 0, made.stderr
    key = (full.folder / "audit" / "log.pub").read_text().strip()
    checked = Proof.parse(proof.read_text()).check(Verifier.parse(key))
    assert json.loads(checked.record) == found["record"]

    for file in [*(full.folder / "audit").rglob("*"), proof]:
        if file.is_file():
            data = file.read_bytes()
            assert SSN.encode() not in data
            assert SSN.replace("-", "").encode() not in data
    assert full.run("audit", "verify").returncode == 0
