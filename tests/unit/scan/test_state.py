"""A scan's file: progress and findings together, and nothing gone on with that has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sovereign.errors import ScanError
from sovereign.scan.finding import Finding
from sovereign.scan.state import Batch, State
from sovereign.scan.walk import Found, Skipped

FACTS = {"policy": "p"}
ONE = Finding(
    file="/a",
    member="",
    number=3,
    unit="line",
    field="",
    start=1,
    end=5,
    offset=1,
    length=4,
    entity="US_SSN",
    score=1.0,
    token="t",
    verb="mask",
    direction="sent",
    provider="openai",
    host="api.openai.com",
    model="gpt-4o",
    endpoint=None,
    caller=None,
    time=None,
)


def _batch(number: int, *findings: Finding, done: bool, resume: int = 10) -> Batch:
    return Batch(number, findings, (), resume, 5, 3, 2, 100, 100, 1, True, "h", done)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scan.db"


def test_a_scan_goes_on_where_its_last_batch_ended(file: Path) -> None:
    """A finding that comes twice, because a batch was told twice, is one."""
    state = State(file, FACTS)
    (task,) = state.listed([Found("/a", 20, 1)])
    state.add(_batch(task.id, ONE, done=False))
    state.close()
    state = State(file, FACTS)
    (task,) = state.listed([Found("/a", 20, 1)])
    assert (task.resume, task.head) == (10, "h")
    state.add(_batch(task.id, ONE, replace(ONE, number=4), done=True, resume=20))
    assert state.listed([Found("/a", 20, 1)]) == []
    assert [f["number"] for f in state.findings()] == [3, 4]
    assert state.totals().findings == 2


def test_a_file_that_grew_is_read_from_its_last_part_and_one_that_changed_anew(
    file: Path,
) -> None:
    """Its last part may have ended in a record: what was found in it is found again."""
    state = State(file, FACTS)
    (task,) = state.listed([Found("/a", 20, 1)])
    state.add(_batch(task.id, replace(ONE, number=1), ONE, done=True, resume=20))
    (task,) = state.listed([Found("/a", 30, 2)])
    assert task.resume == 5
    assert [f["number"] for f in state.findings()] == [1]
    assert (state.totals().records, state.totals().calls) == (0, 0)
    state.add(_batch(task.id, ONE, done=True, resume=30))
    (task,) = state.listed([Found("/a", 25, 3)])
    assert (task.resume, task.head) == (0, "")
    assert list(state.findings()) == []


def test_what_is_gone_is_forgotten_and_what_is_skipped_is_told(file: Path) -> None:
    """The state says what the paths hold now."""
    state = State(file, FACTS)
    (task,) = state.listed([Found("/a", 20, 1), Skipped("/p", "neither a file nor a folder")])
    state.add(_batch(task.id, ONE, done=True))
    assert state.unread() == [("/p", "", None, "neither a file nor a folder")]
    assert state.listed([]) == []
    assert state.totals().findings == 0
    assert state.unread() == []


def test_another_policy_is_another_scan(file: Path) -> None:
    """Findings of two would be mixed."""
    State(file, FACTS).close()
    with pytest.raises(ScanError, match="another policy") as caught:
        State(file, {"policy": "q"})
    assert "--fresh" in (caught.value.hint or "")


def test_two_scans_do_not_share_a_state(file: Path) -> None:
    """They would undo each other."""
    first = State(file, FACTS)
    with pytest.raises(ScanError, match="another scan"):
        State(file, FACTS)
    first.close()
    State(file, FACTS).close()
