"""The event of a run fits the audit log, and its card says in words what the numbers say."""

from __future__ import annotations

from typing import Any

import pytest

from sovereign.audit import record as audit_record
from sovereign.tune.card import event, facts
from sovereign.tune.record import RunRecord


@pytest.fixture
def made() -> RunRecord:
    data: dict[str, Any] = {
        "recipe": "r",
        "base": {"name": "smol", "digest": "ab" * 32},
        "data": {"train": {"sha256": "cd" * 32, "read": 10, "used": 8}},
        "private": {"action": "drop", "reason": None, "rows": 2, "entities": {"PERSON": 2}},
        "privacy": {"epsilon": 7.99},
        "general": None,
        "memorization": {
            "exposure": [{"copies": 10, "mean": 6.7, "low": 6.1, "high": 7.3}],
            "extraction": {"probed": 5, "extracted": 1, "at_most": 0.7},
            "membership": None,
        },
        "training": {"steps": 3, "loss_first": 2.0, "loss_last": 1.0},
        "evaluation": None,
        "hyperparameters": {"lora": {"kind": "rslora"}, "train": {"quantize": "none", "seed": 17}},
        "adapter": {"digest": "ef" * 32},
    }
    return RunRecord(data)


def test_the_card_names_what_a_reviewer_asks_for(made: RunRecord) -> None:
    """Personal data, privacy and what was kept; or that it was not measured."""
    card = facts(made)["card"]
    assert card["rows"].startswith("8 of 10")
    assert card["personal data"] == "found in 2 rows, dropped"
    assert card["differential privacy"] == "epsilon 7.99"
    assert card["memorisation"] == (
        "canaries inserted 10 times: 6.7 bits (6.1 to 7.3); 1 of 5 identifiers extracted"
    )
    made.data["memorization"] = None
    assert facts(made)["card"]["memorisation"] == "not measured"


def test_the_event_is_one_that_the_log_takes(made: RunRecord) -> None:
    """Names, counts and digests."""
    said = event(made)
    audit_record.event(**said)
    assert (said["rows"], said["method"]) == (10, "rslora")
