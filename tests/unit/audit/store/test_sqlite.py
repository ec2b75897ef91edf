"""The SQLite store: durable settings, bounded reads, and errors in our own words."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from sovereign.audit.store import StoredCheckpoint
from sovereign.audit.store.sqlite import PAGE, SQLiteStore
from sovereign.errors import LogTampered, LogUnavailable


def rows(start: int, stop: int) -> list[tuple[int, bytes, bytes]]:
    return [(i, b"%d" % i, bytes(32)) for i in range(start, stop)]


def test_commits_are_fsynced(tmp_path: Path) -> None:
    """WAL with synchronous=FULL (2): with NORMAL a power cut loses acknowledged records."""
    store = SQLiteStore(tmp_path / "log.db")
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert stat.S_IMODE((tmp_path / "log.db").stat().st_mode) == 0o600
    store.close()


def test_what_fails_inside_a_batch_leaves_nothing(tmp_path: Path) -> None:
    """A batch is all or nothing, and the store works on."""
    store = SQLiteStore(tmp_path / "log.db")
    with pytest.raises(ZeroDivisionError), store.batch():
        store.put(rows(0, 3))
        raise ZeroDivisionError
    assert store.size() == 0
    with store.batch():
        store.put(rows(0, 3))
    with pytest.raises(LogTampered), store.batch():
        store.put(rows(2, 4))  # an index that is taken
    assert store.size() == 3
    store.close()


def test_records_are_read_page_by_page(tmp_path: Path) -> None:
    """More than one page, from the middle, and not past the end."""
    store = SQLiteStore(tmp_path / "log.db")
    made = rows(0, 2 * PAGE + 5)
    with store.batch():
        store.put(made)
    assert list(store.records(0, 2 * PAGE + 5)) == made
    assert list(store.records(PAGE - 1, PAGE + 2)) == made[PAGE - 1 : PAGE + 2]
    assert list(store.records(2 * PAGE, 10**9)) == made[2 * PAGE :]
    store.close()


def test_the_last_checkpoint_can_be_asked_for_up_to_a_size(tmp_path: Path) -> None:
    """Recovery starts from one that lies far enough back."""
    store = SQLiteStore(tmp_path / "log.db")
    made = [StoredCheckpoint(n, f"note {n}", bytes(32)) for n in (1, 5, 9)]
    assert store.last_checkpoint() is None
    with store.batch():
        for checkpoint in made:
            store.put_checkpoint(checkpoint)
    assert store.last_checkpoint() == made[2]
    assert store.last_checkpoint(at_most=8) == made[1]
    assert store.last_checkpoint(at_most=0) is None
    store.close()


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    """Bytes that are no database, and a format from the future."""
    (tmp_path / "junk").write_bytes(b"no database" * 1000)
    with pytest.raises(LogTampered, match="not a database"):
        SQLiteStore(tmp_path / "junk")
    SQLiteStore(tmp_path / "log.db").close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(LogUnavailable, match="format") as caught:
        SQLiteStore(tmp_path / "log.db")
    assert "upgrade" in caught.value.hint
