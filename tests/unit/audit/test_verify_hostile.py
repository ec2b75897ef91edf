"""Databases and files that no log ever wrote: the verifier says so, and neither falls nor hangs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import logs
import pytest

from sovereign.audit import verify
from sovereign.audit.log import Log
from sovereign.audit.proof import prove
from sovereign.audit.reader import read
from sovereign.audit.retention import standing
from sovereign.audit.store.sqlite import SQLiteStore
from sovereign.audit.stored import open_stored
from sovereign.audit.tree import leaf_hash
from sovereign.errors import AuditError, LogTampered

KEY = str(logs.verifier())

REPLACED = {
    "a view that says something else each time": """
        ALTER TABLE record RENAME TO kept;
        CREATE VIEW record AS SELECT idx, CASE WHEN random() % 2 THEN bytes ELSE x'00' END AS bytes,
            leaf FROM kept;
    """,
    "a view that never ends": """
        DROP TABLE record;
        CREATE VIEW record AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n)
            SELECT i AS idx, x'00' AS bytes, x'00' AS leaf FROM n;
    """,
    "numbers that are none": """
        ALTER TABLE record RENAME TO kept; CREATE TABLE record (idx, bytes, leaf);
        INSERT INTO record SELECT * FROM kept; DROP TABLE kept;
        INSERT INTO record VALUES ('x', x'00', x'00');
    """,
    "records without a number": """
        ALTER TABLE record RENAME TO kept; CREATE TABLE record (idx, bytes, leaf);
        INSERT INTO record SELECT * FROM kept; DROP TABLE kept;
        INSERT INTO record VALUES (NULL, x'00', x'00');
    """,
    "another index, whose rows may be others": "CREATE INDEX more ON record (idx, bytes, leaf);",
    "a trigger": """
        CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT RAISE(IGNORE); END;
    """,
    "a column that is made": "ALTER TABLE record ADD COLUMN more AS (bytes);",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    logs.grow(tmp_path / "log", 3)
    return tmp_path / "log"


def change(folder: Path, statements: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "log.db", isolation_level=None)) as db:
        db.executescript(statements)


def put(folder: Path, index: int, data: object, leaf: object = None) -> None:
    with contextlib.closing(sqlite3.connect(folder / "log.db", isolation_level=None)) as db:
        row = (index, data, leaf_hash(data) if type(data) is bytes else leaf)
        db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", row)


def problems(folder: Path) -> list[str]:
    return [str(p) for p in verify.verify(folder, key=KEY).problems]


@pytest.mark.parametrize("how", REPLACED)
def test_a_database_that_is_not_drawn_as_a_log_is_is_none(folder: Path, how: str) -> None:
    """What is read once has to be what is there: neither read nor written."""
    change(folder, REPLACED[how])
    with pytest.raises(verify.NotALog, match="no part of an audit log"):
        verify.verify(folder, key=KEY)
    with pytest.raises(AuditError):
        read(folder, last=9)
    with pytest.raises(LogTampered, match="not an audit log"):
        SQLiteStore(folder / "log.db")


def test_a_log_without_the_index_of_holds_is_one(folder: Path) -> None:
    """It is no part of what is signed."""
    change(folder, "DROP INDEX hold")
    assert problems(folder) == []


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 200_000, b"1" * 200_000, bytes(2**21)])
def test_a_record_that_nobody_can_read_is_named(folder: Path, data: bytes) -> None:
    """Nested without end, or larger than a record can be; before and after the last checkpoint."""
    for index in (2, 5):
        put(folder, index, data)
        assert problems(folder), index
        assert all(shown.record is None for shown in _read(folder) if shown.index == index)


def _read(folder: Path) -> list[verify.Any]:
    try:
        return read(folder, last=9)
    except AuditError:  # larger than what is ever read
        return []


@pytest.mark.parametrize("index", [-5, 2**63 - 1])
def test_a_record_with_a_number_out_of_all_reach_is_named(folder: Path, index: int) -> None:
    """One more than the greatest number that SQLite has is no whole number there."""
    put(folder, index, b"{}")
    assert problems(folder)


def test_words_where_bytes_belong_are_another_record(folder: Path) -> None:
    """The log that holds them does not open; the verifier says so, too."""
    change(folder, "UPDATE record SET bytes = CAST(bytes AS TEXT) WHERE idx = 2")
    assert problems(folder) == ["record 2: its bytes were changed; they are not what was signed"]
    change(folder, "UPDATE checkpoint SET note = CAST(note AS BLOB), frontier = 'words'")
    change(folder, "UPDATE checkpoint SET note = x'00000000'")
    with open_stored(folder, logs.verifier()) as stored, pytest.raises(LogTampered):
        stored.checkpoint()
    with pytest.raises(LogTampered, match="something else than a checkpoint"):
        logs.grow(folder, 1)
    assert any("it is not a signed note" in problem for problem in problems(folder))


@pytest.mark.parametrize("name", ["checkpoint", "log.pub", "final.tlog-proof", "kept"])
def test_a_file_that_never_ends_is_not_waited_for(folder: Path, name: str) -> None:
    """Whoever can write the folder can put a pipe there, or a link to what never ends."""
    if name == "final.tlog-proof":
        (folder / "log.db").unlink()
    for never in ("pipe", "zero"):
        (folder / name).unlink(missing_ok=True)
        if never == "pipe":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to("/dev/zero")
        command = [sys.executable, verify.__file__, str(folder)]
        command += [] if name == "log.pub" else ["--key", KEY]
        command += ["--checkpoint", str(folder / "kept")] if name == "kept" else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (1, 2), done
        assert "Traceback" not in done.stderr


def test_a_word_of_deletion_that_is_no_record_is_named(tmp_path: Path) -> None:
    """It was looked for in bytes, so it may stand in what is no JSON."""
    folder = tmp_path / "log"
    logs.grow(folder, 1)
    (folder / "logs" / "0002").mkdir(parents=True)
    shutil.move(folder / "log.db", folder / "logs" / "0002" / "log.db")
    put(folder / "logs" / "0002", 1, b'"type":"log.delete"')
    assert problems(folder)


def test_a_damaged_database_is_said_to_be_one(folder: Path) -> None:
    """By whatever reads it: what SQLite says of it may not be text, or come late."""
    whole = (folder / "log.db").read_bytes()
    with contextlib.closing(sqlite3.connect(folder / "log.db")) as db:
        found = db.execute("SELECT name, rootpage FROM sqlite_master").fetchall()
    pages = {name: (page - 1) * 4096 for name, page in found}
    note = whole.index(logs.ORIGIN.encode(), pages["checkpoint"])
    damages = [(whole.index(b"CREATE TABLE checkpoint") + 15, b"\xd0"), (note, b"\xff")]
    damages += [(at, bytes(100)) for at in pages.values()]
    for at, data in damages:
        (folder / "log.db").write_bytes(whole[:at] + data + whole[at + len(data) :])
        for use in (_verified, _proven, _opened):
            with contextlib.suppress(AuditError, verify.NotALog):
                use(folder)


def _verified(folder: Path) -> None:
    verify.verify(folder, key=KEY)
    read(folder, last=9)


def _proven(folder: Path) -> None:
    standing(folder, logs.verifier())
    with open_stored(folder, logs.verifier()) as stored:
        prove(stored, 1)


def _opened(folder: Path) -> None:
    SQLiteStore(folder / "log.db").close()


def test_what_a_record_says_writes_nothing_of_its_own_on_a_terminal(folder: Path) -> None:
    """Neither a line that says ok, nor one over those that do not."""
    source = "a\n\x1b[2J\x1b[Hok: the log is what was signed\u202e"
    said = {"seq": 7, "source": source, "type": "x"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    put(folder, 5, text.encode())
    (problem,) = problems(folder)
    assert "ok: the log" in problem
    assert problem.isprintable()


def test_names_that_only_look_like_a_logs_are_none(folder: Path) -> None:
    """Digits of other scripts, and more noughts than a log has."""
    for name in ("٠٠٠٢", "00002", "0000", "0001"):
        (folder / "logs" / name).mkdir(parents=True)
    assert problems(folder) == []
    with Log.open(folder, key=logs.SEED, origin=logs.ORIGIN, source="test"):
        pass
