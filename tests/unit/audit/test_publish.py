"""Publishing adds what is new, durably, and never overwrites what was published."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import logs
import pytest

from sovereign.audit.publish import publish
from sovereign.audit.shelf import FolderShelf
from sovereign.audit.stored import open_stored
from sovereign.audit.tiles import check, folder
from sovereign.errors import LogTampered

KEY = logs.verifier()


def put(log: Path, into: Path) -> tuple[int, int, int]:
    with open_stored(log, KEY) as stored:
        done = publish(stored, FolderShelf(into))
    return done.before, done.after, done.files


def contents(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def test_publishing_step_by_step_gives_what_publishing_at_once_gives(tmp_path: Path) -> None:
    """Each step leaves a folder that verifies; the full tiles are the same bytes either way."""
    log, steps, once = tmp_path / "log", tmp_path / "steps", tmp_path / "once"
    before = 0
    for more in (1, 100, 200, 0, 700, 30):
        size = logs.grow(log, more)
        assert put(log, steps)[:2] == (before, size)
        found = check(folder(steps), KEY)
        assert (found.problems, found.records) == ([], size)
        before = size
    put(log, once)
    all_at_once, stepwise = contents(once), contents(steps)
    assert all_at_once.items() <= stepwise.items()
    assert all(".p/" in extra for extra in stepwise.keys() - all_at_once.keys())


def test_publishing_again_writes_nothing(tmp_path: Path) -> None:
    """Nothing new is no work, and no file changes."""
    logs.grow(tmp_path / "log", 300)
    put(tmp_path / "log", tmp_path / "out")
    before = contents(tmp_path / "out")
    assert put(tmp_path / "log", tmp_path / "out")[2] == 0
    assert contents(tmp_path / "out") == before


def test_a_run_that_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    """Files without the checkpoint that promises them are completed, never mistrusted."""
    log, out = tmp_path / "log", tmp_path / "out"
    logs.grow(log, 600)
    put(log, out)
    (out / "checkpoint").unlink()
    (out / "tile" / "0" / "001").unlink()
    put(log, out)
    assert check(folder(out), KEY).ok


def test_tiles_that_are_no_longer_needed_go(tmp_path: Path) -> None:
    """A partial tile goes once the full one is there, and not before."""
    log, out = tmp_path / "log", tmp_path / "out"
    size = logs.grow(log, 40)
    put(log, out)
    assert (out / f"tile/0/000.p/{size}").exists()
    logs.grow(log, 300)
    put(log, out)
    assert not (out / "tile/0/000.p").exists()
    assert not (out / "tile/entries/000.p").exists()
    assert check(folder(out), KEY).ok


def test_a_rolled_back_log_is_not_published_over_a_longer_one(tmp_path: Path) -> None:
    """What is public stays; the error says that the log is the shorter one."""
    log, out = tmp_path / "log", tmp_path / "out"
    logs.grow(log, 10)
    shutil.copytree(log, tmp_path / "old")
    logs.grow(log, 10)
    put(log, out)
    before = contents(out)
    with pytest.raises(LogTampered, match="has 24 records"):
        put(tmp_path / "old", out)
    assert contents(out) == before


def test_another_history_is_not_published_over_the_first(tmp_path: Path) -> None:
    """Same key, other records: the folder is not touched."""
    logs.grow(tmp_path / "a", 10, clock=lambda: 1.0)
    logs.grow(tmp_path / "b", 400, clock=lambda: 2.0)
    out = tmp_path / "out"
    put(tmp_path / "a", out)
    before = contents(out)
    with pytest.raises(LogTampered, match="does not continue"):
        put(tmp_path / "b", out)
    assert contents(out) == before


def test_a_changed_record_is_never_published(tmp_path: Path) -> None:
    """The record is named, and the folder stays empty."""
    log, out = tmp_path / "log", tmp_path / "out"
    logs.grow(log, 300)
    with sqlite3.connect(log / "log.db") as db:
        db.execute("UPDATE record SET bytes = bytes || ' ' WHERE idx = 270")
    with pytest.raises(LogTampered) as caught:
        put(log, out)
    assert caught.value.index == 270
    assert contents(out) == {}


def test_tiles_that_somebody_changed_are_not_built_on(tmp_path: Path) -> None:
    """The right edge that is there has to lead to the checkpoint that is there."""
    log, out = tmp_path / "log", tmp_path / "out"
    size = logs.grow(log, 30)
    put(log, out)
    tile = out / f"tile/0/000.p/{size}"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    logs.grow(log, 30)
    with pytest.raises(LogTampered, match="not what was signed"):
        put(log, out)


def test_a_tile_that_says_otherwise_is_not_overwritten(tmp_path: Path) -> None:
    """Tiles are immutable; one that differs is evidence."""
    log, out = tmp_path / "log", tmp_path / "out"
    logs.grow(log, 300)
    (out / "tile/0").mkdir(parents=True)
    (out / "tile/0/000").write_bytes(bytes(8192))
    with pytest.raises(LogTampered, match="says otherwise"):
        put(log, out)
    assert not (out / "checkpoint").exists()
