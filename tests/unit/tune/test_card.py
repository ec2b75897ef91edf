"""The event of a run fits the audit log, and its card says in words what the numbers say."""

from __future__ import annotations

from typing import Any

import pytest

from sovereign.audit import record as audit_record
from sovereign.tune.card import besides, event, facts
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
    made.data["privacy"] |= {"delta": 1e-05, "unit": "group"}
    said = facts(made)["card"]["differential privacy"]
    assert said == "epsilon 7.99, delta 1e-05, for each group"
    made.data["privacy"] = {"epsilon": "none"}
    assert facts(made)["card"]["differential privacy"] == "not used"
    made.data["memorization"] = None
    assert facts(made)["card"]["memorisation"] == "not measured"


def test_what_it_forgot_is_said_in_one_form(made: RunRecord) -> None:
    """Card and report take their lines from here: each thing with before, after and an interval."""
    general = {
        "rows": 12,
        "before": {"mean": 2.0},
        "after": {"mean": 2.5},
        "rise": {"mean": 0.5, "low": 0.4, "high": 0.6},
        "exact": [{"exact": 6, "rows": 12}, {"exact": 3, "rows": 12}],
        "tasks": {"levels": {"acc": {"before": [0.5, 0.1], "after": [0.25, None]}}},
    }
    made.data["general"] = general
    assert besides(general) == [
        ("loss of 12 general rows", "2.000", "2.500", "rose by 0.500, 0.400 to 0.600"),
        ("general rows answered exactly", "6 of 12", "3 of 12", "25% to 75%, then 9% to 53%"),
        ("levels, acc", "0.500", "0.250", "± 0.196, then unknown"),
    ]
    said = facts(made)["card"]["what it can do besides"]
    assert said.startswith("loss of 12 general rows 2.000 before, 2.500 after (rose by 0.500, 0.4")
    assert said.endswith("; levels, acc 0.500 before, 0.250 after (± 0.196, then unknown)")


def test_the_event_is_one_that_the_log_takes(made: RunRecord) -> None:
    """Names, counts and digests."""
    said = event(made)
    audit_record.event(**said)
    assert (said["rows"], said["method"]) == (10, "rslora")
