"""Every way to tamper that we could think of, by name, and what the verifier says about it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sovereign.audit import record, sequencer, verify
from sovereign.audit.log import Log
from sovereign.audit.tree import leaf_hash
from sovereign.errors import AuditError, SovereignError

KEY = bytes(range(32))
ORIGIN = "log.example/a"
SIZE = 22  # log.open, 20 records, log.close; checkpoints at 1, 5, 9, 13, 17, 21 and 22


def write(folder: Path, *, key: bytes = KEY, request: str = "r") -> None:
    with Log.open(folder, key=key, origin=ORIGIN, source="test", clock=lambda: 1.8e9) as log:
        for i in range(SIZE - 2):
            name = f"{request}{i}"
            log.append(
                record.result(request=name, status=200, outcome="ok", bytes_in=0, duration_ms=1)
            )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequencer, "CHECKPOINT_RECORDS", 4)
        patch.setattr(sequencer, "CHECKPOINT_SECONDS", 1e6)
        write(folder)
    with sqlite3.connect(folder / "log.db") as db:
        sizes = [n for (n,) in db.execute("SELECT size FROM checkpoint ORDER BY size")]
    db.close()
    assert sizes == [1, 5, 9, 13, 17, 21, 22]
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "log")
    return tmp_path / "log"


def edit(folder: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    db = sqlite3.connect(folder / "log.db")
    for statement, values in statements:
        assert db.execute(statement, values).rowcount != 0
    db.commit()
    db.close()


def value(folder: Path, query: str) -> bytes:
    db = sqlite3.connect(folder / "log.db")
    (found,) = db.execute(query).fetchone()
    db.close()
    return found.encode() if isinstance(found, str) else found


def flipped(data: bytes, at: int = 20) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def record_byte(folder: Path) -> None:
    data = value(folder, "SELECT bytes FROM record WHERE idx = 17")
    edit(folder, ("UPDATE record SET bytes = ? WHERE idx = 17", (flipped(data),)))


def record_emptied(folder: Path) -> None:
    edit(folder, ("UPDATE record SET bytes = ? WHERE idx = 17", (b"",)))


def leaf_byte(folder: Path) -> None:
    leaf = value(folder, "SELECT leaf FROM record WHERE idx = 17")
    edit(folder, ("UPDATE record SET leaf = ? WHERE idx = 17", (flipped(leaf),)))


def two_records(folder: Path) -> None:
    record_byte(folder)
    edit(folder, ("UPDATE record SET bytes = ? WHERE idx = 3", (b"{}",)))


def replace(folder: Path, index: int) -> None:
    data = value(folder, f"SELECT bytes FROM record WHERE idx = {index}")
    forged = data.replace(b'"v":1', b'"v":2')
    changed = (forged, leaf_hash(forged), index)
    edit(folder, ("UPDATE record SET bytes = ?, leaf = ? WHERE idx = ?", changed))


def replaced_with_its_leaf(folder: Path) -> None:
    replace(folder, 15)


def replaced_alone_under_a_checkpoint(folder: Path) -> None:
    replace(folder, 21)


def row_deleted(folder: Path) -> None:
    edit(folder, ("DELETE FROM record WHERE idx = 17", ()))


def rows_deleted_and_closed_up(folder: Path) -> None:
    edit(
        folder,
        ("DELETE FROM record WHERE idx = 17", ()),
        ("UPDATE record SET idx = idx - 1 WHERE idx > 17", ()),
    )


def tail_deleted(folder: Path) -> None:
    edit(folder, ("DELETE FROM record WHERE idx >= 19", ()))


def everything_deleted(folder: Path) -> None:
    edit(folder, ("DELETE FROM record", ()))


def rows_swapped(folder: Path) -> None:
    edit(
        folder,
        ("UPDATE record SET idx = -1 WHERE idx = 10", ()),
        ("UPDATE record SET idx = 10 WHERE idx = 11", ()),
        ("UPDATE record SET idx = 11 WHERE idx = -1", ()),
    )


def row_renumbered(folder: Path) -> None:
    edit(folder, ("UPDATE record SET idx = 40 WHERE idx = 17", ()))


def negative_row(folder: Path) -> None:
    edit(folder, ("INSERT INTO record SELECT -1, bytes, leaf FROM record WHERE idx = 3", ()))


def old_record_appended_again(folder: Path) -> None:
    edit(folder, ("INSERT INTO record SELECT 22, bytes, leaf FROM record WHERE idx = 3", ()))


def junk_appended(folder: Path) -> None:
    edit(folder, ("INSERT INTO record VALUES (22, ?, ?)", (b"junk", leaf_hash(b"junk"))))


def checkpoint_byte(folder: Path) -> None:
    note = value(folder, "SELECT note FROM checkpoint WHERE size = 9")
    changed = note.replace(b"\n9\n", b"\n8\n").decode()
    edit(folder, ("UPDATE checkpoint SET note = ? WHERE size = 9", (changed,)))


def checkpoint_signature(folder: Path) -> None:
    note = value(folder, "SELECT note FROM checkpoint WHERE size = 9").decode()
    at = len(note) - 10
    changed = note[:at] + ("A" if note[at] != "A" else "B") + note[at + 1 :]
    edit(folder, ("UPDATE checkpoint SET note = ? WHERE size = 9", (changed,)))


def checkpoint_moved(folder: Path) -> None:
    edit(folder, ("UPDATE checkpoint SET size = 10 WHERE size = 9", ()))


def checkpoint_as_blob(folder: Path) -> None:
    edit(folder, ("UPDATE checkpoint SET note = x'ff00' WHERE size = 9", ()))


def frontier_byte(folder: Path) -> None:
    packed = value(folder, "SELECT frontier FROM checkpoint WHERE size = 9")
    edit(folder, ("UPDATE checkpoint SET frontier = ? WHERE size = 9", (flipped(packed),)))


def last_checkpoint_deleted(folder: Path) -> None:
    edit(folder, ("DELETE FROM checkpoint WHERE size = 22", ()))


def all_checkpoints_deleted(folder: Path) -> None:
    edit(folder, ("DELETE FROM checkpoint", ()))
    (folder / "checkpoint").unlink()


def checkpoint_file_byte(folder: Path) -> None:
    file = folder / "checkpoint"
    file.write_bytes(flipped(file.read_bytes(), 30))


def checkpoint_file_emptied(folder: Path) -> None:
    (folder / "checkpoint").write_bytes(b"")


def database_rolled_back(folder: Path) -> None:
    """As if a backup of the database had been put back, but not of the checkpoint."""
    edit(
        folder,
        ("DELETE FROM record WHERE idx >= 17", ()),
        ("DELETE FROM checkpoint WHERE size > 17", ()),
    )


def page_overwritten(folder: Path) -> None:
    raw = bytearray((folder / "log.db").read_bytes())
    at = raw.index(b'"request":"r15"') // 4096 * 4096  # the page that holds record 16
    raw[at : at + 16] = b"\xff" * 16
    (folder / "log.db").write_bytes(raw)


TAMPERINGS: list[tuple[Callable[[Path], None], str]] = [
    (record_byte, "record 17: its bytes were changed"),
    (record_emptied, "record 17: its bytes were changed"),
    (leaf_byte, "record 17: its stored leaf hash was changed"),
    (two_records, "record 3: its bytes were changed"),
    (replaced_with_its_leaf, "records 13 to 16: at least one is not what the checkpoint of 17"),
    (replaced_alone_under_a_checkpoint, "record 21: it is not what the checkpoint of 22"),
    (row_deleted, "record 17: it is missing"),
    (rows_deleted_and_closed_up, "record 17: number 18 of"),
    (tail_deleted, "records 19 to 21: it is missing: the log ends before it, but 22"),
    (everything_deleted, "records 0 to 21: it is missing"),
    (rows_swapped, "record 10: number 11 of"),
    (row_renumbered, "record 17: it is missing"),
    (negative_row, "record -1: it stands out of order"),
    (old_record_appended_again, "record 22: number 3 of"),
    (junk_appended, "record 22: it is not a record"),
    (checkpoint_byte, "checkpoint 9: its signature is wrong"),
    (checkpoint_signature, "checkpoint 9: "),
    (checkpoint_moved, "checkpoint 10: it was signed over 9 records"),
    (checkpoint_as_blob, "checkpoint 9: "),
    (frontier_byte, "checkpoint 9: its stored frontier was changed"),
    (last_checkpoint_deleted, "checkpoint 22: the database has lost it"),
    (all_checkpoints_deleted, "no checkpoint signs any record"),
    (checkpoint_file_byte, "cannot be believed"),
    (checkpoint_file_emptied, "cannot be believed"),
    (database_rolled_back, "records 17 to 21: it is missing"),
    (page_overwritten, "the database cannot be read from here on"),
]


@pytest.mark.parametrize(("tamper", "said"), TAMPERINGS, ids=lambda v: getattr(v, "__name__", ""))
def test_tampering_is_found_and_named(
    folder: Path, tamper: Callable[[Path], None], said: str
) -> None:
    """Each way is found, and the place is named as narrowly as the signatures allow."""
    tamper(folder)
    report = verify.verify(folder)
    assert not report.ok
    assert any(said in str(p) for p in report.problems), [str(p) for p in report.problems]


@pytest.mark.parametrize(
    "tamper",
    [record_byte, leaf_byte, row_deleted, frontier_byte, checkpoint_byte, negative_row],
    ids=lambda v: v.__name__,
)
def test_one_fault_is_one_problem(folder: Path, tamper: Callable[[Path], None]) -> None:
    """What is right elsewhere is not accused: an auditor looks in one place."""
    tamper(folder)
    assert len(verify.verify(folder).problems) == 1


# What can be changed in the storage without the log refusing to open: old checkpoints, which a
# later one makes superfluous, and a forged tail that no checkpoint covers yet.
OPENS = {
    checkpoint_byte, checkpoint_signature, checkpoint_moved, checkpoint_as_blob, frontier_byte,
    old_record_appended_again, junk_appended, negative_row,
}  # fmt: skip


@pytest.mark.parametrize(
    "tamper", [t for t, _ in TAMPERINGS if t not in OPENS], ids=lambda v: v.__name__
)
def test_a_tampered_log_does_not_open(folder: Path, tamper: Callable[[Path], None]) -> None:
    """To append to it would put a signature over the forgery."""
    tamper(folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if "log.db" not in p.name}
    with pytest.raises(AuditError) as caught:
        Log.open(folder, key=KEY, origin=ORIGIN, source="test")
    assert isinstance(caught.value, SovereignError)
    after = {p.name: p.read_bytes() for p in folder.iterdir() if "log.db" not in p.name}
    assert before == after


def test_an_untouched_log_verifies(folder: Path) -> None:
    """The other half of every test above."""
    report = verify.verify(folder)
    assert report.ok
    assert (report.size, report.covered, report.checkpoints) == (SIZE, SIZE, 7)


def test_records_past_the_last_checkpoint_are_counted_not_accused(folder: Path) -> None:
    """A killed writer leaves up to a second of records unsigned; that is no tampering."""
    edit(folder, ("DELETE FROM checkpoint WHERE size > 17", ()))
    (folder / "checkpoint").unlink()
    report = verify.verify(folder)
    assert report.ok
    assert "5 records not yet covered by a checkpoint" in list(report.lines())


def test_a_log_rewritten_under_another_key_needs_the_real_key_to_show(
    folder: Path, tmp_path: Path
) -> None:
    """Whoever replaces log, checkpoint and log.pub together makes a log that agrees with itself:
    only the key kept elsewhere tells."""
    vkey = (folder / "log.pub").read_text().strip()
    forged = tmp_path / "forged"
    write(forged, key=b"x" * 32)
    assert verify.verify(forged).ok
    report = verify.verify(forged, key=vkey)
    assert {"not signed by this log's key" in str(p) for p in report.problems} >= {True}


def test_a_log_rewritten_under_the_same_key_needs_an_old_checkpoint_to_show(
    folder: Path, tmp_path: Path
) -> None:
    """Whoever has the key can write another history, but not one that an old checkpoint signed."""
    forged = tmp_path / "forged"
    write(forged, request="other")
    assert verify.verify(forged).ok
    report = verify.verify(forged, checkpoints=[folder / "checkpoint"])
    assert any("forked" in str(p) or "not what the checkpoint" in str(p) for p in report.problems)
    longer = tmp_path / "old-checkpoint"
    longer.write_bytes(value(folder, "SELECT note FROM checkpoint WHERE size = 9"))
    assert verify.verify(folder, checkpoints=[longer]).ok
    assert not verify.verify(forged, checkpoints=[longer]).ok


def test_what_is_not_a_log_is_said_to_be_none(tmp_path: Path, folder: Path) -> None:
    """An empty folder, a file that is no database, another program's database."""
    key = (folder / "log.pub").read_text()
    with pytest.raises(verify.NotALog, match=r"no log\.pub"):
        verify.verify(tmp_path)
    with pytest.raises(verify.NotALog, match=r"no log\.db"):
        verify.verify(tmp_path, key=key)
    (tmp_path / "log.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(verify.NotALog, match="cannot be read"):
        verify.verify(tmp_path, key=key)
    (tmp_path / "log.db").write_bytes(b"")
    with pytest.raises(verify.NotALog, match="not an audit log"):
        verify.verify(tmp_path, key=key)
    with pytest.raises(verify.NotALog, match="verifier key"):
        verify.verify(folder, key="no key")


def test_a_log_in_use_is_verified_at_one_moment(tmp_path: Path) -> None:
    """An auditor need not stop the gateway."""
    with Log.open(tmp_path, key=KEY, origin=ORIGIN, source="test") as log:
        for _ in range(10):
            futures = [log.submit(record.event("log.close")) for _ in range(50)]
            assert verify.verify(tmp_path).ok
            for future in futures:
                future.result()


def run_alone(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    file = shutil.copy(verify.__file__, cwd / "verify.py")
    alone = [sys.executable, "-I", "-S", "-c"]
    # -S drops site-packages; only what `cryptography` needs is put back.
    packages = str(Path(sys.modules["cryptography"].__file__ or "").parent.parent)
    code = (
        "import sys, runpy; sys.path.append(sys.argv.pop(1)); sys.modules['sovereign'] = None; "
        "sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return subprocess.run(
        [*alone, code, packages, str(file), *map(str, args)],
        capture_output=True, text=True, cwd=cwd, timeout=60, check=False,
    )  # fmt: skip


def test_the_verifier_runs_alone(folder: Path, tmp_path: Path) -> None:
    """One file, copied out, in a process where the toolkit cannot be imported."""
    good = run_alone(folder, cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "22 records from 1 source," in good.stdout
    record_byte(folder)
    bad = run_alone(folder, "--json", cwd=tmp_path)
    assert bad.returncode == 1
    assert "error: record 17: its bytes were changed" in bad.stderr
    said = json.loads(bad.stdout)
    assert said["ok"] is False
    assert said["problems"][0]["record"] == 17
    assert run_alone(tmp_path, cwd=tmp_path).returncode == 2
