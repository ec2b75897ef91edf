"""A log is rotated at any moment, by anybody, and stays one provable chain."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sovereign.audit import record
from sovereign.audit.chain import Chain, Rotation, name_of
from sovereign.audit.store import StoredCheckpoint, folders
from sovereign.audit.store.folders import Folders, folder_of, newest_folder, numbers_in
from sovereign.audit.store.sqlite import SQLiteStore
from sovereign.audit.verify import verify
from sovereign.errors import LogTampered, LogUnavailable

KEY, ORIGIN = bytes(range(32)), "log.example/a"


def begin(folder: Path, source: str = "a", **changes: Any) -> Chain:
    fields: dict[str, Any] = {"key": KEY, "origin": ORIGIN, "source": source, "clock": lambda: 1e9}
    return Chain(Folders(folder), folder, **(fields | changes))


def one(source: str = "a") -> bytes:
    return record.prepare(record.event("log.read", command="x"), source=source)


def add(chain: Chain, n: int = 1, *, source: str = "a", sign: bool = False) -> list[str]:
    landed = chain.commit([one(source)] * n, sign=sign)
    return [str(receipt) for receipt in landed.receipts(chain.number)]


def records(folder: Path, number: int) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(folder_of(folder, number) / "log.db")) as db:
        return [json.loads(data) for (data,) in db.execute("SELECT bytes FROM record ORDER BY idx")]


def whole(folder: Path, *, logs: int) -> None:
    report = verify(folder)
    assert report.ok, [str(p) for p in report.problems]
    assert len(report.logs) == logs


def test_the_next_log_begins_with_the_final_checkpoint_of_the_one_before(tmp_path: Path) -> None:
    """Numbers of a source go on; indices begin again, and a receipt says in which log."""
    chain = begin(tmp_path)
    assert add(chain, 3) == ["0", "1", "2"]
    assert chain.rotate() == 2
    assert add(chain, 2, sign=True) == ["2/1", "2/2"]
    first, second = records(tmp_path, 1), records(tmp_path, 2)
    assert [r["type"] for r in first[-1:] + second[:1]] == ["log.end", "log.begin"]
    assert [r["seq"] for r in first + second] == list(range(7))
    final = verify(tmp_path).logs[0]
    assert (second[0]["size"], second[0]["root"]) == (final.size, final.root)
    assert second[0]["previous"] == ORIGIN
    chain.close()
    whole(tmp_path, logs=2)


def test_a_log_ends_with_its_quarter_and_never_with_a_clock_that_jumps_back(tmp_path: Path) -> None:
    """30 September is one quarter, 1 October the next; a clock that goes back rotates nothing."""
    now = [datetime(2026, 9, 30, 23, 59, tzinfo=UTC).timestamp()]
    chain = begin(tmp_path, rotation=Rotation("quarter"), clock=lambda: now[0])
    add(chain)
    now[0] += 3600
    assert add(chain) == ["2/1"]
    now[0] -= 40 * 86400
    assert add(chain) == ["2/2"]
    now[0] += 400 * 86400
    assert add(chain) == ["3/1"]
    chain.close()
    again = begin(tmp_path, "b", rotation=Rotation("quarter"), clock=lambda: now[0])
    assert add(again, source="b", sign=True) == ["3/2"]
    again.close()
    whole(tmp_path, logs=3)


def test_a_log_ends_at_its_size(tmp_path: Path) -> None:
    """So that no single file grows without bound."""
    chain = begin(tmp_path, rotation=Rotation("never", 10))
    places = [add(chain, 4)[0] for _ in range(8)]
    assert places[-1].startswith("3/")
    chain.commit([], sign=True)
    chain.close()
    whole(tmp_path, logs=len(numbers_in(tmp_path)))


def test_other_writers_follow_and_nobody_rotates_twice(tmp_path: Path) -> None:
    """Two processes write one chain; whichever rotates, the other goes on in the same new log."""
    a, b = begin(tmp_path, "a"), begin(tmp_path, "b")
    add(a, source="a")
    add(b, source="b")
    assert a.rotate() == 2
    assert add(b, 2, source="b") == ["2/1", "2/2"]
    assert b.rotate() == 3
    assert a.rotate() == 3, "what it wanted has happened"
    assert add(a, source="a", sign=True) == ["3/1"]
    for chain in (a, b):
        chain.close()
    whole(tmp_path, logs=3)


def test_a_writer_that_slept_through_two_rotations_catches_up(tmp_path: Path) -> None:
    """It goes through each log in turn, so it never appends to one that has ended."""
    late, busy = begin(tmp_path, "late"), begin(tmp_path, "busy")
    add(late, source="late")
    for _ in range(2):
        add(busy, source="busy")
        busy.rotate()
    assert add(late, source="late", sign=True)[0].startswith("3/")
    late.close()
    busy.close()
    whole(tmp_path, logs=3)


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs, no handler included."""


def kill(*_: object, **__: object) -> None:
    raise Killed


def _kill_second(real: Callable[..., Any]) -> Callable[..., Any]:
    seen = []

    def maybe(*given: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            raise Killed
        return real(*given)

    return maybe


STEPS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the end is signed": lambda m: m.setattr(
        "sovereign.audit.sequencer.Sequencer._signed", kill
    ),
    "after the end": lambda m: m.setattr("sovereign.audit.chain.Chain._first", kill),
    "before anything of the next log": lambda m: m.setattr(
        "sovereign.audit.store.folders.shutil.rmtree", kill
    ),
    "while the next log is filled": lambda m: m.setattr(
        SQLiteStore, "put_checkpoint", _kill_second(SQLiteStore.put_checkpoint)
    ),
    "before it has its name": lambda m: m.setattr(Path, "rename", kill),
    "before its name is durable": lambda m: m.setattr(
        folders, "sync_names", _kill_second(folders.sync_names)
    ),
    "before it is opened": lambda m: m.setattr("sovereign.audit.chain.recover", kill),
    "before its key is beside it": lambda m: m.setattr(
        "sovereign.audit.anchor.Anchor.pin_key", kill
    ),
    "before its checkpoint is beside it": lambda m: m.setattr(
        "sovereign.audit.anchor.Anchor._write", kill
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_a_rotation_is_made_good(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed there, the folder is copied as it lies and opened anew: nothing acknowledged is
    missing, nothing is there twice, and the rotation is finished or has not begun."""
    folder = tmp_path / "live"
    chain = begin(folder)
    add(chain, 5, sign=True)
    with monkeypatch.context() as patched:
        STEPS[step](patched)
        with pytest.raises(Killed):
            chain.rotate()
    left = tmp_path / "left"
    shutil.copytree(folder, left)
    assert verify(left).ok, [str(p) for p in verify(left).problems]
    again = begin(left, "b")
    add(again, source="b", sign=True)
    assert again.rotate() in (2, 3)
    add(again, source="b", sign=True)
    again.close()
    report = verify(left)
    assert report.ok, [str(p) for p in report.problems]
    everything = [r for number in numbers_in(left) for r in records(left, number)]
    mine = [r["seq"] for r in everything if r["source"] == "a" and r["type"] == "log.read"]
    assert mine == [0, 1, 2, 3, 4]
    chain.close()


def test_when_the_next_log_cannot_be_made_nothing_is_taken_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle of a rotation refuses, and is over when there is room."""
    chain = begin(tmp_path)
    add(chain)

    def full(*_: object) -> None:
        raise LogUnavailable("audit log: no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Folders, "begin", full)
        for attempt in (chain.rotate, lambda: add(chain)):
            with pytest.raises(LogUnavailable, match="no space"):
                attempt()
    assert add(chain, sign=True) == ["2/1"]
    chain.close()
    whole(tmp_path, logs=2)


def _edit(folder: Path, number: int, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(folder_of(folder, number) / "log.db")) as db:
        db.execute(statement, values)
        db.commit()


def _other_chain(folder: Path) -> None:
    """Log 1 is replaced by another that the same key signed."""
    other = folder.parent / "other"
    chain = begin(other)
    add(chain, 9)
    chain.rotate()
    chain.close()
    for name in ("log.db", "checkpoint"):
        shutil.copy(other / name, folder / name)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a record of an ended log": (
        lambda f: _edit(f, 1, "UPDATE record SET bytes = ? WHERE idx = 1", b"{}"),
        "record 1: its bytes were changed",
    ),
    "the newest record of the second log": (
        lambda f: _edit(f, 2, "DELETE FROM record WHERE idx = 2"),
        "log 2: record 2: it is missing",
    ),
    "an ended log": (lambda f: (f / "log.db").unlink(), "its records are gone"),
    "a log in the middle": (
        lambda f: shutil.rmtree(folder_of(f, 2)),
        "log 2 is missing",
    ),
    "the first log by another": (_other_chain, "log 2: record 0: log 1 is not the one"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_any_log_of_the_chain_is_found_and_named(tmp_path: Path, change: str) -> None:
    """An ended log is as safe as the newest."""
    folder = tmp_path / "log"
    chain = begin(folder)
    for _ in range(2):
        add(chain, 3)
        chain.rotate()
    add(chain, sign=True)
    chain.close()
    whole(folder, logs=3)
    make, said = CHANGES[change]
    make(folder)
    problems = [str(p) for p in verify(folder).problems]
    assert any(said in problem for problem in problems), problems


def test_a_copy_of_one_later_log_verifies_by_itself_with_the_first_key(tmp_path: Path) -> None:
    """An auditor who is given one quarter needs no other, and noted one key once."""
    chain = begin(tmp_path / "log")
    add(chain)
    chain.rotate()
    add(chain, 2, sign=True)
    chain.close()
    shutil.copytree(folder_of(tmp_path / "log", 2), tmp_path / "quarter")
    for key in (None, chain.vkey):
        report = verify(tmp_path / "quarter", key=key)
        assert [str(p) for p in report.problems] == []
        assert report.size == 3
        assert next(report.lines()).startswith("this is log 2 of its chain: ")
    kept = [tmp_path / "log" / "checkpoint", tmp_path / "quarter" / "checkpoint"]
    (problem,) = verify(tmp_path / "quarter", key=chain.vkey, checkpoints=kept).problems
    assert str(problem) == f"{kept[0]} was signed for {ORIGIN}, which is not here"


def test_a_checkpoint_that_was_kept_from_any_log_is_held_against_that_log(tmp_path: Path) -> None:
    """It names its log, so a later one cannot be taken for it; one that is gone is missed."""
    chain = begin(tmp_path / "log")
    add(chain, 3, sign=True)
    chain.publish()
    kept = tmp_path / "kept"
    kept.write_bytes((tmp_path / "log" / "checkpoint").read_bytes())
    chain.rotate()
    add(chain, 2, sign=True)
    chain.publish()
    later = tmp_path / "later"
    later.write_bytes((newest_folder(tmp_path / "log") / "checkpoint").read_bytes())
    chain.close()
    assert verify(tmp_path / "log", checkpoints=[kept, later]).ok
    shutil.rmtree(tmp_path / "log" / "logs")
    (problem,) = verify(tmp_path / "log", checkpoints=[later]).problems
    assert name_of(ORIGIN, 2) in str(problem)


def test_a_log_that_lost_its_beginning_is_not_gone_on_with(tmp_path: Path) -> None:
    """Not even an empty one in its place."""
    chain = begin(tmp_path)
    add(chain)
    chain.rotate()
    chain.close()
    (newest_folder(tmp_path) / "log.db").unlink()
    with pytest.raises(LogTampered):
        begin(tmp_path)


def test_the_next_log_is_begun_once(tmp_path: Path) -> None:
    """Whoever comes second changes nothing."""
    chain = begin(tmp_path)
    chain.rotate()
    chain.close()
    before = (newest_folder(tmp_path) / "log.db").read_bytes()
    Folders(tmp_path).begin(2, [(0, b"x", bytes(32))], StoredCheckpoint(1, "x", bytes(32)))
    assert (newest_folder(tmp_path) / "log.db").read_bytes() == before
