"""The report's document: counts beside controls, and what is not shown."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import logs
import pytest
import reports

from sovereign import errors
from sovereign.audit import record
from sovereign.audit.log import Log
from sovereign.audit.report.document import REFUSALS, duration
from sovereign.audit.report.gather import Period
from sovereign.cli.report import FRAMEWORKS
from sovereign.gateway.asked import ClientGone


def control(document: dict[str, Any], section: str) -> dict[str, Any]:
    (found,) = [c for c in document["controls"] if c["id"] == section]
    return dict(found)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_framework_has_its_controls_with_records_to_look_at(
    busy: Path, framework: str
) -> None:
    """Every count names its first and last record; where there is one, the archive proves both."""
    made = reports.document(busy, framework)
    proven = {p["index"] for p in made["proofs"]}
    for one in made["controls"]:
        assert one["state"] in ("evidence", "none in this period")
        for evidence in one["evidence"]:
            if evidence["first"] is not None:
                assert {evidence["first"], evidence["last"]} <= proven
                assert evidence["last"] - evidence["first"] + 1 >= evidence["count"] > 0
    assert made["verification"]["ok"]
    assert any(one["state"] == "evidence" for one in made["controls"])


def test_the_totals_are_those_of_the_records(busy: Path) -> None:
    """Decisions are their five outcomes, by team, model and destination alike."""
    made = reports.document(busy)
    became = ("allowed", "changed", "kept_local", "local", "refused")
    decisions = made["totals"]["decisions"]
    assert decisions == sum(made["totals"][name] for name in became)
    for table in ("teams", "models", "destinations", "over_time"):
        assert sum(sum(row.values()) for row in made["counts"][table].values()) == decisions


def test_a_log_that_fails_verification_supports_no_control(busy: Path, tmp_path: Path) -> None:
    """The first gap says so, no record is proven, and nothing reads as evidence."""
    shutil.copytree(busy, tmp_path / "log")
    with sqlite3.connect(tmp_path / "log" / "log.db") as db:
        db.execute("UPDATE record SET bytes = replace(bytes, '0', '1') WHERE idx = 20")
    db.close()
    made = reports.document(tmp_path / "log")
    assert not made["verification"]["ok"]
    assert "not what was signed" in made["gaps"][0]
    assert {one["state"] for one in made["controls"]} == {"not verified"}
    assert made["proofs"] == []
    assert control(made, "164.312(b)")["evidence"][2]["text"] == "the log failed verification"


def test_a_period_that_the_log_does_not_span_is_said(busy: Path) -> None:
    """It begins before the log does and ends after its last record."""
    gaps = "\n".join(reports.document(busy)["gaps"])
    assert "The log begins at 2026-07-01T08:00:00.000Z" in gaps
    assert "the period ends later" in gaps


def test_a_period_without_any_record_is_said(busy: Path) -> None:
    """It is not the same as a period in which nobody asked anything."""
    made = reports.document(
        busy, period=Period("2020-01-01T00:00:00.000Z", "2020-02-01T00:00:00.000Z")
    )
    assert "no record of this period at all" in made["gaps"][0]
    assert control(made, "164.502(b)")["state"] == "none in this period"


def test_a_declared_gap_is_in_the_gaps_and_ends_completeness(tmp_path: Path) -> None:
    """The log is what was signed; it is not whole, and says what is missing."""
    now = [1_782_900_000.0]
    with Log.open(
        tmp_path, key=logs.SEED, origin=logs.ORIGIN, source="test", clock=lambda: now[0]
    ) as log:
        log.append(record.event("log.heartbeat"))
        now[0] += 7_200
        log.append(record.event("log.heartbeat"))
    made = reports.document(tmp_path, "ai-act")
    assert control(made, "Art. 12(1)")["evidence"][-1]["count"] == 1
    assert any("longest is 2 h" in gap for gap in made["gaps"])
    made["verification"]["declared_lost"] = 3
    from sovereign.audit.report.document import _evidence

    said = _evidence("completeness", made)
    assert said["count"] == 0
    assert "3 records are declared lost" in said["text"]


def test_a_checkpoint_kept_elsewhere_closes_the_gap_of_a_roll_back(busy: Path) -> None:
    """Without one, the report says that nobody looked."""
    assert any("rolled back" in gap for gap in reports.document(busy)["gaps"])
    assert not any("rolled back" in gap for gap in reports.document(busy, kept_elsewhere=1)["gaps"])


@pytest.mark.parametrize(
    ("seconds", "said"), [(59, "59 s"), (3_600, "1 h"), (93_784, "1 d 2 h"), (0, "0 s")]
)
def test_durations_are_said_in_their_two_largest_units(seconds: int, said: str) -> None:
    """Nobody wants the seconds of a week."""
    assert duration(seconds) == said


def test_every_code_of_a_refusal_has_words() -> None:
    """The gateway writes an error's code into the log; a reader does not know our codes."""
    assert ClientGone.code in _codes(errors.GatewayError)  # which not errors.py has, but the door
    assert _codes(errors.GuardError) | _codes(errors.GatewayError) <= set(REFUSALS)
    assert set(REFUSALS) <= _codes(errors.SovereignError)


def _codes(kind: type[errors.SovereignError]) -> set[str]:
    return {kind.code}.union(*map(_codes, kind.__subclasses__()))
