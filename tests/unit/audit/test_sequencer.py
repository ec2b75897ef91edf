"""Order, without threads: several writers on one storage, one after another."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sovereign.audit import anchor, record, sequencer
from sovereign.audit.anchor import Anchor
from sovereign.audit.note import Signer
from sovereign.audit.recover import recover
from sovereign.audit.sequencer import Position, Sequencer
from sovereign.audit.store.sqlite import SQLiteStore
from sovereign.audit.tree import Frontier
from sovereign.audit.verify import verify
from sovereign.errors import LogTampered, LogUnavailable

SIGNER = Signer.from_seed("log.example/a", bytes(range(32)))


class Writer(Sequencer):
    """A sequencer with a storage of its own on the shared file, as another process would have."""

    def __init__(self, folder: Path, source: str) -> None:
        self.store = SQLiteStore(folder / "log.db")
        self.anchor = Anchor(folder, SIGNER.verifier)
        self.anchor.pin_key()
        frontier, covered = recover(self.store, self.anchor.checkpoint(), SIGNER.verifier)
        position = Position(frontier, covered)
        super().__init__(
            self.store, self.anchor, SIGNER, position, source=source, clock=lambda: 1e9
        )
        self.name = source

    def add(self, n: int = 1, *, sign: bool = False) -> list[int]:
        one = record.prepare(record.event("log.read", command="x"), source=self.name)
        return [r.index for r in self.commit([one] * n, sign=sign).receipts(1)]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Writer, Writer]]:
    monkeypatch.setattr(sequencer, "CHECKPOINT_SECONDS", 1e6)
    pair = Writer(tmp_path, "a"), Writer(tmp_path, "b")
    yield pair
    for writer in pair:
        writer.store.close()


def test_two_writers_take_turns(two: tuple[Writer, Writer], tmp_path: Path) -> None:
    """Each reads what the other added, and signs a tree that holds both."""
    a, b = two
    assert a.add(2) == [0, 1]
    assert b.add(3) == [2, 3, 4]
    assert a.add(1, sign=True) == [5]
    assert b.add(1, sign=True) == [6]
    assert b.position.frontier.size == 7
    for writer in two:
        writer.publish()
    report = verify(tmp_path)
    assert report.ok, report.problems
    assert (report.size, report.covered, report.sources) == (7, 7, 2)


def test_an_older_checkpoint_never_replaces_a_newer_file(
    two: tuple[Writer, Writer], tmp_path: Path
) -> None:
    """Two processes publish in any order; the file is the newest."""
    a, b = two
    a.add(1, sign=True)
    b.add(1, sign=True)
    b.publish()
    a.publish()
    newest = a.anchor.checkpoint()
    assert newest is not None
    assert newest.size == 2


def test_a_stopped_process_does_not_keep_others_from_publishing(
    two: tuple[Writer, Writer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that nobody lets go is waited for, then passed by; a short one is waited out."""
    monkeypatch.setattr(anchor, "PATIENCE_SECONDS", 0.05)
    a, _ = two
    a.add(1, sign=True)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    a.publish()
    os.close(folder)
    assert a.due_in() is None
    assert a.anchor.checkpoint() is not None


def test_a_commit_whose_outcome_was_unknown_is_found_again(two: tuple[Writer, Writer]) -> None:
    """If the disk kept a batch that was reported as failed, its numbers are not given twice."""
    a, _ = two
    a.add(2)
    before = a.position
    a.add(2)  # durable, …
    a.position = before  # … but this process was told that it failed
    assert a.add(1) == [4]
    assert a.position.seq == 5


def test_storage_that_shrinks_under_a_writer_is_tampering(two: tuple[Writer, Writer]) -> None:
    """It must not go on over the hole."""
    a, _ = two
    a.add(3)
    a.store._db.execute("DELETE FROM record WHERE idx = 2")
    with pytest.raises(LogTampered, match="shorter"):
        a.add()


def test_a_forged_record_from_elsewhere_is_not_signed(two: tuple[Writer, Writer]) -> None:
    """What another process is said to have added must at least be what its leaf hash says."""
    a, _ = two
    a.add(1)
    a.store._db.execute("INSERT INTO record VALUES (1, x'00', zeroblob(32))")
    with pytest.raises(LogTampered, match="record 1 "):
        a.add()


def test_checkpoints_come_after_so_many_records(
    two: tuple[Writer, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first record is signed at once, then every so many."""
    monkeypatch.setattr(sequencer, "CHECKPOINT_RECORDS", 10)
    a, _ = two
    covered = []
    for _ in range(25):
        a.add()
        covered.append(a.position.covered)
    assert sorted(set(covered)) == [1, 11, 21]


def test_a_checkpoint_file_that_cannot_be_written_is_tried_again(
    two: tuple[Writer, Writer], tmp_path: Path
) -> None:
    """The record stands meanwhile: the database has the checkpoint."""
    a, _ = two
    a.add(1, sign=True)
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(LogUnavailable, match="checkpoint file"):
        a.publish()
    assert a.due_in() is not None
    (tmp_path / "checkpoint").rmdir()
    a.publish()
    assert a.due_in() is None
    assert verify(tmp_path).ok


def test_recovery_of_a_long_log_starts_from_a_signed_frontier(
    two: tuple[Writer, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest records are recomputed, and the result is the whole tree's frontier."""
    from sovereign.audit import recover as module

    monkeypatch.setattr(sequencer, "CHECKPOINT_RECORDS", 10)
    monkeypatch.setattr(module, "RECOMPUTED", 20)
    a, _ = two
    for _ in range(95):
        a.add()
    read: list[int] = []
    real = a.store.records
    monkeypatch.setattr(
        a.store, "records", lambda start, stop: read.append(start) or real(start, stop)
    )
    frontier, covered = recover(a.store, None, SIGNER.verifier)
    assert frontier == a.position.frontier
    assert covered == 91
    assert read == [71, 91]
    assert Frontier().extend(leaf for _, _, leaf in real(0, 95)) == frontier
