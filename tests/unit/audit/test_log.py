"""The open log: durable before acknowledged, refusing when it cannot be, and whole afterwards."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sovereign.audit import record
from sovereign.audit.log import Log, open_log, read_key
from sovereign.audit.store import sqlite
from sovereign.audit.verify import verify
from sovereign.config import Config
from sovereign.errors import (
    AuditError,
    ConfigError,
    LogTampered,
    LogUnavailable,
    RecordRejected,
)
from sovereign.types import Receipt

KEY = bytes(range(32))


def begin(folder: Path, **changes: Any) -> Log:
    fields: dict[str, Any] = {"key": KEY, "origin": "log.example/a", "source": "test"}
    return Log.open(folder, **(fields | changes))


def some(n: int = 0) -> dict[str, Any]:
    return record.result(request=f"r{n}", status=200, outcome="ok", bytes_in=n, duration_ms=1)


def stored(folder: Path) -> list[tuple[int, bytes]]:
    with sqlite3.connect(folder / sqlite.FILE) as db:
        return db.execute("SELECT idx, bytes FROM record ORDER BY idx").fetchall()


def test_a_receipt_is_the_records_place_and_leaf(tmp_path: Path) -> None:
    """A caller can keep the receipt and later hold the log to it."""
    from sovereign.audit.tree import leaf_hash

    with begin(tmp_path / "log") as log:
        receipts = [log.append(some(i)) for i in range(5)]
    kept = dict(stored(tmp_path / "log"))
    assert [r.index for r in receipts] == [1, 2, 3, 4, 5]  # 0 is log.open
    assert [r.leaf for r in receipts] == [leaf_hash(kept[r.index]) for r in receipts]


def test_an_opening_and_a_closing_are_records_and_the_whole_is_signed(tmp_path: Path) -> None:
    """A source that has no closing record was killed: that shows."""
    with begin(tmp_path) as log:
        log.append(some())
        assert verify(tmp_path).sources_open == 1
    report = verify(tmp_path, key=log.vkey)
    assert report.ok
    assert (report.size, report.covered, report.sources_open) == (3, 3, 0)
    begin(tmp_path).close()
    assert verify(tmp_path).sources == 2


def test_only_the_owner_can_read_the_log(tmp_path: Path) -> None:
    """Records hold no text, but who asked which model when is nobody else's business."""
    folder = tmp_path / "a" / "log"
    with begin(folder) as log:
        log.append(some())
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
        assert set(modes) >= {"log.db", "log.db-wal", "checkpoint", "log.pub"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_many_threads_share_one_order(tmp_path: Path) -> None:
    """Every caller gets an index of its own, and this source's numbers have no gap."""
    taken: list[int] = []
    with begin(tmp_path) as log:

        def work() -> None:
            taken.extend([log.append(some(i)).index for i in range(25)])

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == list(range(1, 401))
    report = verify(tmp_path)
    assert report.ok
    assert report.size == 402


def test_what_waits_is_committed_together(tmp_path: Path) -> None:
    """Group commit: 2,000 records that are queued at once take a few transactions, not 2,000."""
    with begin(tmp_path) as log:
        commits: list[int] = []
        real = log._chain.commit
        log._chain.commit = lambda p, **k: commits.append(len(p)) or real(p, **k)  # type: ignore[method-assign,func-returns-value]
        futures = [log.submit(some(i)) for i in range(2_000)]
        assert [f.result().index for f in futures] == list(range(1, 2_001))
    assert len(commits) < 200


def test_a_checkpoint_follows_within_a_second_although_nobody_appends(tmp_path: Path) -> None:
    """The unsigned tail of an idle log is empty."""
    with begin(tmp_path) as log:
        for i in range(5):
            log.append(some(i))
        deadline = time.monotonic() + 5
        while verify(tmp_path).covered < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        report = verify(tmp_path)
        assert report.ok
        assert report.covered == 6


def test_a_record_that_does_not_fit_is_refused_and_the_log_goes_on(tmp_path: Path) -> None:
    """Neither index nor number is spent on it."""
    with begin(tmp_path) as log:
        future = log.submit({"type": "request.result", "text": "Grace Hopper"})
        assert isinstance(future.exception(), RecordRejected)
        assert log.append(some()).index == 1
    assert verify(tmp_path).ok


def test_a_record_changed_after_it_was_submitted_is_logged_as_submitted(tmp_path: Path) -> None:
    """What is queued is bytes: a caller that reuses its dict cannot change history."""
    with begin(tmp_path) as log:
        entities = {"PERSON": {"mask": 1}}
        kept = {"type": "request.refusal", "request": "r", "endpoint": "e", "code": "c"}
        mutable: dict[str, Any] = {**kept, "status": 403, "entities": entities}
        future = log.submit(mutable)
        entities["PERSON"]["mask"] = 9
        mutable["text"] = "anything"
        index = future.result().index
    assert b'"entities":{"PERSON":{"mask":1}}' in dict(stored(tmp_path))[index]


def test_an_accepted_record_cannot_be_cancelled(tmp_path: Path) -> None:
    """A client that hangs up cancels the task that waits; the record is written all the same."""
    with begin(tmp_path) as log:
        future: Future[Receipt] = log.submit(some())
        assert not future.cancel()
        assert future.result().index == 1


def test_a_closed_log_refuses(tmp_path: Path) -> None:
    """And closing twice is harmless."""
    log = begin(tmp_path)
    log.close()
    log.close()
    with pytest.raises(LogUnavailable, match="closed"):
        log.append(some())


def test_a_clock_that_jumps_changes_nothing_but_times(tmp_path: Path) -> None:
    """Order is the index and the source's number. A clock that fails refuses, and recovers."""
    moments = iter([1e9, 2e9, 5.0, float("nan"), 1e300, -1.0, 1e9, 1e9])
    with begin(tmp_path, clock=lambda: next(moments, 7.0)) as log:
        log.append(some())
        log.append(some())
        for _ in range(2):
            with pytest.raises(LogUnavailable):
                log.append(some())
        assert log.append(some()).index == 3
    report = verify(tmp_path)
    assert report.ok
    assert report.size == 5


def test_a_full_database_refuses_and_works_again_once_there_is_room(tmp_path: Path) -> None:
    """Nothing is acknowledged that is not durable, and a failed batch leaves no gap."""
    with begin(tmp_path) as log:
        log.append(some())
        pages = log._chain._store._db.execute("PRAGMA page_count").fetchone()[0]
        log._chain._store._db.execute(f"PRAGMA max_page_count = {pages}")
        acknowledged = 2
        with pytest.raises(LogUnavailable, match="full") as caught:
            for i in range(1_000):
                log.append(some(i))
                acknowledged += 1
        assert caught.value.hint
        with pytest.raises(LogUnavailable):
            for i in range(1_000):
                log.append(some(i))
                acknowledged += 1
        log._chain._store._db.execute("PRAGMA max_page_count = 1000000")
        assert log.append(some()).index == acknowledged
    report = verify(tmp_path)
    assert report.ok
    assert report.size == acknowledged + 2


def test_a_writer_that_never_lets_go_makes_the_log_refuse_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock held elsewhere is an error after a bounded wait, and is over when it is over."""
    monkeypatch.setattr(sqlite, "BUSY_MS", 50)
    with begin(tmp_path) as log:
        other = sqlite3.connect(tmp_path / sqlite.FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="locked"):
            log.append(some())
        other.execute("ROLLBACK")
        other.close()
        assert log.append(some()).index == 1


def test_a_database_that_is_moved_away_is_noticed(tmp_path: Path) -> None:
    """Otherwise records would be durable where nobody will ever look."""
    log = begin(tmp_path)
    log.append(some())
    (tmp_path / sqlite.FILE).rename(tmp_path / "elsewhere")
    with pytest.raises(LogUnavailable, match="removed or replaced"):
        log.append(some())
    with pytest.raises(LogUnavailable):
        log.close()


def test_a_forked_child_is_refused_and_does_the_parent_no_harm(tmp_path: Path) -> None:
    """An SQLite connection used across a fork has lost acknowledged records."""
    with begin(tmp_path) as log:
        log.append(some())
        child = os.fork()
        if child == 0:  # leaves with 0 only if both refuse
            code = 1
            try:
                try:
                    log.append(some())
                except LogUnavailable:
                    try:
                        log.close()
                    except LogUnavailable:
                        code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        log.append(some())
    report = verify(tmp_path)
    assert report.ok
    assert report.size == 4


def test_another_key_or_another_name_does_not_continue_a_log(tmp_path: Path) -> None:
    """Two keys under one log would make two histories of it."""
    begin(tmp_path).close()
    with pytest.raises(ConfigError, match="not the one that signs") as caught:
        begin(tmp_path, key=b"x" * 32)
    assert caught.value.hint
    with pytest.raises(ConfigError, match=r"log\.example/a"):
        begin(tmp_path, origin="log.example/b")
    (tmp_path / "log.pub").unlink()
    with pytest.raises(LogTampered, match="not signed by this log"):
        begin(tmp_path, key=b"x" * 32)
    begin(tmp_path).close()
    assert verify(tmp_path).ok


def test_a_log_that_cannot_be_written_does_not_open(tmp_path: Path) -> None:
    """A gateway without a log must not start to listen."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LogUnavailable):
        begin(tmp_path / "file" / "log")
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / sqlite.FILE) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(AuditError, match="not an audit log"):
        begin(tmp_path / "other")


def config(folder: Path) -> Config:
    made = Config.model_validate({"policy": {"preset": "hipaa"}})
    made._path = folder / "sovereign.toml"
    return made


def test_a_log_opens_by_configuration(tmp_path: Path) -> None:
    """[audit] names folder, key and origin, relative to the file."""
    key = tmp_path / ".sovereign" / "audit.key"
    key.parent.mkdir()
    key.write_bytes(KEY)
    key.chmod(0o600)
    with open_log(config(tmp_path), "test") as log:
        log.append(some())
    assert log.vkey.startswith("sovereign.local/audit+")
    assert verify(tmp_path / ".sovereign" / "audit").ok


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "not there"),
        (KEY, 0o640, "can be read by others"),
        (KEY, 0o604, "can be read by others"),
        (KEY[:31], 0o600, "32 bytes"),
        (KEY + b"\n", 0o600, "32 bytes"),
    ],
)
def test_a_key_file_that_is_missing_open_or_odd_is_an_error_with_a_hint(
    tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    """Whoever can read the key can write another history."""
    if content is not None:
        key = tmp_path / ".sovereign" / "audit.key"
        key.parent.mkdir()
        key.write_bytes(content)
        key.chmod(mode)
    with pytest.raises(ConfigError, match=said) as caught:
        read_key(config(tmp_path))
    assert caught.value.hint
