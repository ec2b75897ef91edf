"""What is read of a log for a report, and what proves it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
from pathlib import Path

import logs
import pytest
import reports
import traffic

from sovereign.audit.report.gather import Gathered, Period, Tree, gather
from sovereign.audit.report.page import page
from sovereign.audit.stored import open_stored
from sovereign.audit.tree import Frontier, inclusion_path, leaf_hash

WHOLE = Period("2026-07-01T00:00:00.000Z", "2026-08-01T00:00:00.000Z")
SECOND = Period("2026-07-02T00:00:00.000Z", "2026-07-03T00:00:00.000Z")


def gathered(folder: Path, period: Period = WHOLE) -> Gathered:
    with gather(folder, logs.verifier(), period, key_from="the test") as found:
        return found


def test_the_period_is_counted_and_the_log_verified(busy: Path) -> None:
    """Every decision became one of five things, and every record is counted once."""
    found = gathered(busy)
    spans = found.tally.spans
    became = ("allowed", "changed", "kept_local", "local", "refused")
    assert spans["decisions"][0] == sum(spans[name][0] for name in became) > 50
    assert found.ok
    assert found.tally.records == found.parts[0].range.size
    assert found.parts[0].checkpoint is not None
    assert found.verification.size == found.parts[0].range.stop == found.parts[0].checkpoint.size


def test_neighbouring_days_add_up(busy: Path) -> None:
    """Nothing is counted twice, nothing falls between."""
    days = [
        gathered(busy, Period(f"2026-07-0{d}T00:00:00.000Z", f"2026-07-0{d + 1}T00:00:00.000Z"))
        for d in range(1, 6)
    ]
    assert sum(d.tally.records for d in days) == days[0].verification.size
    for one, next_ in itertools.pairwise(days):
        assert one.parts[0].range.stop == next_.parts[0].range.first


def test_the_frontier_before_the_range_leads_to_the_signed_root(busy: Path) -> None:
    """So the records of a range can be proven without those before and after it."""
    with gather(busy, logs.verifier(), SECOND, key_from="the test") as found:
        (part,) = found.parts
        span, stored = part.range, part.stored
        assert span.first > 0
        leaves = (leaf for _, _, leaf in stored.entries(span.first, span.stop))
        assert span.before.extend(leaves).root() == stored.root_of(0, span.stop)


def test_a_period_without_records_lies_between_its_neighbours(busy: Path) -> None:
    """Before the log, and after it."""
    before = gathered(busy, Period("2020-01-01T00:00:00.000Z", "2020-02-01T00:00:00.000Z"))
    after = gathered(busy, Period("2030-01-01T00:00:00.000Z", "2030-02-01T00:00:00.000Z"))
    assert (before.parts[0].range.first, before.parts[0].range.stop, before.tally.records) == (
        0,
        0,
        0,
    )
    assert after.parts[0].range.first == after.parts[0].range.stop == after.verification.size


@pytest.mark.parametrize(
    ("sql", "missing"),
    [
        ("UPDATE record SET bytes = replace(bytes, 'gateway', 'getaway') WHERE idx = 12", 1),
        ("DELETE FROM record WHERE idx = 12", 1),
        ("DELETE FROM record WHERE idx BETWEEN 12 AND 15", 4),
    ],
)
def test_a_log_that_was_changed_is_read_as_far_as_it_can_be(
    busy: Path, tmp_path: Path, sql: str, missing: int
) -> None:
    """And is not ok, whatever else there is to read."""
    shutil.copytree(busy, tmp_path / "log")
    with sqlite3.connect(tmp_path / "log" / "log.db") as db:
        changed = db.execute(sql).rowcount
    db.close()
    found, whole = gathered(tmp_path / "log"), gathered(busy)
    assert changed == missing
    assert not found.ok
    assert found.faults == list(range(12, 12 + missing))
    assert found.tally.records == whole.tally.records - missing


def test_a_forged_checkpoint_leaves_nothing_to_prove_against(busy: Path, tmp_path: Path) -> None:
    """The newest is what would be believed."""
    shutil.copytree(busy, tmp_path / "log")
    with sqlite3.connect(tmp_path / "log" / "log.db") as db:
        db.execute("UPDATE checkpoint SET note = replace(note, '1', '2')")
    db.close()
    found = gathered(tmp_path / "log")
    assert found.parts[0].checkpoint is None
    assert not found.ok


def test_roots_from_chunks_are_those_of_all_leaves(tmp_path: Path) -> None:
    """Proofs are made from one pass over a log that is longer than a chunk."""
    size = logs.grow(tmp_path / "log", 700)
    with open_stored(tmp_path / "log", logs.verifier()) as stored:
        tree = Tree(stored)
        leaves = [leaf_hash(data) for _, data, _ in stored.entries(0, size)]
        for leaf in leaves:
            tree.add(leaf)
        assert tree.frontier() == Frontier().extend(leaves)
        for index in (0, 255, 256, 511, 600, size - 1):
            whole = inclusion_path(stored.root_of, index, size)
            assert inclusion_path(tree.root_of, index, size) == whole
        for old in (1, 256, 300, 512, size):
            assert tree.root_of(0, old) == Frontier().extend(leaves[:old]).root()


def test_a_link_that_was_changed_is_found_and_read_all_the_same(tmp_path: Path) -> None:
    """Bytes and leaf hash, as by somebody who knows how: which logs the period is in cannot be
    believed then, so all of them are read."""
    traffic.grow_chain(tmp_path / "log")
    whole = gathered(tmp_path / "log")
    assert whole.ok
    assert [part.past.number for part in whole.parts] == [1, 2, 3, 4]
    with sqlite3.connect(tmp_path / "log" / "logs" / "0002" / "log.db") as db:
        (data,) = db.execute("SELECT bytes FROM record WHERE idx = 0").fetchone()
        forged = bytes(data).replace(b'"size":', b'"size":1', 1)
        row = (forged, leaf_hash(forged))
        db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = 0", row)
    db.close()
    found = gathered(tmp_path / "log")
    assert not found.ok
    assert any("log 2" in str(p) for p in found.verification.problems)
    assert len(found.parts) == 4


def test_of_a_chain_only_the_logs_of_the_period_are_counted(tmp_path: Path) -> None:
    """Neighbouring days add up over a rotation, too; a day in one log is of one log."""
    traffic.grow_chain(tmp_path / "log")
    days = [
        gathered(
            tmp_path / "log",
            Period(f"2026-07-0{d}T00:00:00.000Z", f"2026-07-0{d + 1}T00:00:00.000Z"),
        )
        for d in range(1, 8)
    ]
    assert sum(d.tally.records for d in days) == days[0].verification.size
    assert [part.past.number for part in days[1].parts] == [1]
    assert [part.past.number for part in days[2].parts] == [1, 2]  # its first request ends log 1
    assert all(d.ok and d.tally.strays == 0 for d in days)


@pytest.mark.parametrize("value", ["5", "null", '["x"]', '{"x":{"y":"z"}}', '"<x>"'])
def test_what_is_no_word_of_ours_is_in_no_report(busy: Path, tmp_path: Path, value: str) -> None:
    """Whoever changed a record may have put anything into any of its fields."""
    shutil.copytree(busy, tmp_path / "log")
    with sqlite3.connect(tmp_path / "log" / "log.db") as db:
        rows = db.execute("SELECT idx, bytes FROM record").fetchall()
        index, data = next((i, d) for i, d in rows if b'"type":"request.intent"' in d)
        for name in json.loads(data).keys() - {"time"}:
            fields = json.loads(data) | {name: json.loads(value)}
            other = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
            row = (other, leaf_hash(other), index)
            db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = ?", row)
            db.commit()
            made = reports.document(tmp_path / "log")
            assert not made["verification"]["ok"], name
            # What verification says of a source names it, escaped as all else is.
            assert name == "source" or "&lt;x&gt;" not in page(made), name
            assert "<x>" not in page(made), name


@pytest.mark.parametrize("what", ["no note", "nested without end"])
def test_what_is_no_log_s_is_reported_all_the_same(busy: Path, tmp_path: Path, what: str) -> None:
    """A report says that nothing in it is vouched for; it neither fails nor waits."""
    shutil.copytree(busy, tmp_path / "log")
    if what == "no note":
        (tmp_path / "log" / "checkpoint").unlink()
        os.mkfifo(tmp_path / "log" / "checkpoint")
    else:
        data = b"[" * 100_000
        with sqlite3.connect(tmp_path / "log" / "log.db") as db:
            row = (data, leaf_hash(data))
            db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = 5", row)
    found = gathered(tmp_path / "log")
    assert not found.ok
    assert found.verification.problems


def test_what_was_deleted_before_the_period_is_a_gap(tmp_path: Path) -> None:
    """And what is left is reported; of a period in what was deleted there is nothing to report."""
    from sovereign.audit.history import logs as chain_of
    from sovereign.audit.proof import prove
    from sovereign.audit.store.folders import Folders
    from sovereign.errors import AuditError

    traffic.grow_chain(tmp_path / "log")
    first = chain_of(tmp_path / "log", logs.verifier())[0]
    with open_stored(first.folder, first.verifier) as stored:
        proof = str(prove(stored, 0))
    Folders(tmp_path / "log").drop(1, proof)
    found = gathered(tmp_path / "log")
    assert [part.past.number for part in found.parts] == [2, 3, 4]
    assert found.oldest > "2026-07-03"
    with pytest.raises(AuditError, match="log 1 were deleted"):
        gathered(tmp_path / "log", Period("2026-07-01T00:00:00.000Z", "2026-07-02T00:00:00.000Z"))
