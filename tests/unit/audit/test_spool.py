"""The spool: durable, bounded, torn at any byte, and never taken from a process that lives."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from sovereign.audit import record, spool
from sovereign.audit.spool import Spool, left_behind
from sovereign.errors import LogUnavailable


def some(seq: int) -> bytes:
    made = record.result(request=f"r{seq}", status=200, outcome="ok", bytes_in=1, duration_ms=1)
    return record.encode(made, time=1.0, source="gateway-1", seq=seq)


def test_what_was_kept_is_read_once_its_writer_is_gone(tmp_path: Path) -> None:
    """A living process sends its own; nobody else may send it too."""
    kept = Spool(tmp_path, "gateway-1")
    kept.add([some(0), some(1)])
    kept.add([some(2)])
    file = tmp_path / spool.FOLDER / "gateway-1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(left_behind(tmp_path)) == []
    kept.close()
    (left,) = left_behind(tmp_path)
    assert left.records == (some(0), some(1), some(2))
    assert left.damaged == 0
    assert list(left_behind(tmp_path)) == [], "it is locked until it is in the log"
    left.remove()
    assert not file.exists()


def test_a_sequencer_that_looks_while_a_spool_is_made_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its name before its lock: for that moment it looks like one that was left behind."""

    def sequencer_first(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        for left in left_behind(tmp_path):
            left.remove()
        fcntl.flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sequencer_first)
    kept = Spool(tmp_path, "gateway-1")
    kept.add([some(0)])
    kept.close()
    (left,) = left_behind(tmp_path)
    assert left.records == (some(0),)
    left.close()


def test_what_cannot_be_read_or_removed_stops_nobody(tmp_path: Path) -> None:
    """Whoever takes in what was left behind goes on to the next of it."""
    kept = Spool(tmp_path, "gateway-1")
    kept.add([some(0)])
    kept.close()
    folder = tmp_path / spool.FOLDER
    (folder / "a-folder").mkdir()
    (left,) = left_behind(tmp_path)
    folder.rename(folder.with_suffix(".away"))
    folder.touch()  # not a folder: nothing in it can be removed
    left.remove()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(left.descriptor)


def test_a_spool_torn_at_any_byte_gives_its_whole_records(tmp_path: Path) -> None:
    """A crash while it is written leaves a part of the last line, which was never durable."""
    kept = Spool(tmp_path, "gateway-1")
    kept.add([some(0), some(1)])
    kept.close()
    file = tmp_path / spool.FOLDER / "gateway-1"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        (left,) = left_behind(tmp_path)
        left.close()
        assert left.damaged == 0
        assert len(left.records) == (2 if cut == len(whole) else 1 if cut >= first else 0)


def test_a_line_that_was_changed_is_counted_and_not_believed(tmp_path: Path) -> None:
    """What a disk or a hand did to a spool does not become a record."""
    kept = Spool(tmp_path, "gateway-1")
    kept.add([some(0), some(1), some(2)])
    kept.close()
    file = tmp_path / spool.FOLDER / "gateway-1"
    file.write_bytes(file.read_bytes().replace(b'"r1"', b'"rX"'))
    (left,) = left_behind(tmp_path)
    assert left.records == (some(0), some(2))
    assert left.damaged == 1
    left.close()


def test_a_full_spool_refuses(tmp_path: Path) -> None:
    """It bridges a restart; it is no second log."""
    kept = Spool(tmp_path, "gateway-1")
    with pytest.raises(LogUnavailable, match="full"):
        kept.add([some(0)] * (spool.MAX_RECORDS + 1))
    kept.add([some(0)])
    kept.clear()
    kept.clear()
    assert list((tmp_path / spool.FOLDER).iterdir()) == []
