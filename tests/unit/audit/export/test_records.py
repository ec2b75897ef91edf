"""What exports read: records that fit the schema, all of them under the signed root."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import logs
import pytest

from sovereign.audit.export.records import Entry, read, severity
from sovereign.audit.stored import open_stored
from sovereign.audit.tree import leaf_hash
from sovereign.errors import LogTampered


def entries(folder: Path, since: str = "", until: str = "~") -> list[Entry]:
    with open_stored(folder, logs.verifier()) as stored:
        return list(read(stored, since, until))


def test_each_record_is_read_once_and_in_order(busy: Path) -> None:
    """With its leaf hash, and times to the millisecond."""
    found = entries(busy)
    assert [e.index for e in found] == list(range(len(found)))
    assert all(leaf_hash(e.data) == e.leaf for e in found)
    assert found[0].milliseconds == 1_782_892_800_000
    assert not {"v", "type", "time", "source", "seq"} & set(found[0].fields)


def test_a_period_is_its_records_and_no_others(busy: Path) -> None:
    """The end is not in it."""
    day = entries(busy, "2026-07-02T00:00:00.000Z", "2026-07-03T00:00:00.000Z")
    assert {e.record["time"][:10] for e in day} == {"2026-07-02"}


def test_a_record_that_was_changed_ends_the_export(busy: Path, tmp_path: Path) -> None:
    """By its leaf hash; or, changed with its leaf hash, by the root at the end."""
    shutil.copytree(busy, tmp_path / "log")
    file = tmp_path / "log" / "log.db"
    with sqlite3.connect(file) as db:
        (data,) = db.execute("SELECT bytes FROM record WHERE idx = 30").fetchone()
        changed = data.replace(b'"time":"2026', b'"time":"2027')
        assert changed != data
        db.execute("UPDATE record SET bytes = ? WHERE idx = 30", (changed,))
    with pytest.raises(LogTampered) as caught:
        entries(tmp_path / "log")
    assert caught.value.index == 30
    with sqlite3.connect(file) as db:
        db.execute("UPDATE record SET leaf = ? WHERE idx = 30", (leaf_hash(changed),))
    db.close()
    with pytest.raises(LogTampered, match="not what was signed"):
        entries(tmp_path / "log")


def test_a_record_with_a_field_of_its_own_does_not_pass(busy: Path, tmp_path: Path) -> None:
    """Whoever changes a log may put text into it; an export must not carry that out."""
    shutil.copytree(busy, tmp_path / "log")
    with sqlite3.connect(tmp_path / "log" / "log.db") as db:
        (data,) = db.execute("SELECT bytes FROM record WHERE idx = 30").fetchone()
        data = data.replace(b'"v":1', b'"v":1,"note":"a patient"')
        db.execute("UPDATE record SET bytes=?, leaf=? WHERE idx=30", (data, leaf_hash(data)))
    db.close()
    with pytest.raises(LogTampered, match="record 30 is not a record of this log") as caught:
        entries(tmp_path / "log")
    assert "patient" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("record", "grade"),
    [
        ({"type": "log.gap"}, 9),
        ({"type": "request.refusal", "code": "residual_found"}, 8),
        ({"type": "request.refusal", "code": "refused_by_policy"}, 5),
        ({"type": "request.refusal", "code": "model_not_found"}, 3),
        ({"type": "request.result", "outcome": "ok"}, 1),
        ({"type": "request.result", "outcome": "error"}, 3),
        ({"type": "log.heartbeat"}, 1),
    ],
)
def test_what_an_operator_should_see_first_is_graded_higher(
    record: dict[str, str], grade: int
) -> None:
    """A missing record above a refusal above everyday."""
    assert severity(record) == grade
