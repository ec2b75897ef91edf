"""Proof files: what is in one is believed only as far as it leads to a signed root."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import logs
import pytest

from sovereign.audit.note import Checkpoint, Signer, open_checkpoint
from sovereign.audit.proof import Extension, Proof, prove, prove_extension
from sovereign.audit.stored import open_stored
from sovereign.errors import AuditError, LogTampered

KEY = logs.verifier()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """13 records: a size whose tree has three peaks."""
    folder = tmp_path_factory.mktemp("log")
    assert logs.grow(folder, 11) == 13
    return folder


def test_every_record_has_a_proof_that_needs_only_the_key(log: Path) -> None:
    """The file alone, with the key, gives back the record and where it stands."""
    with open_stored(log, KEY) as stored:
        for index in range(13):
            proof = Proof.parse(str(prove(stored, index)))
            checked = proof.check(KEY)
            assert (checked.index, checked.checkpoint.size) == (index, 13)
            assert json.loads(checked.record)["seq"] == index


def test_a_proof_is_written_as_the_specification_says(log: Path) -> None:
    """c2sp.org/tlog-proof: header, extra, index, hashes, an empty line, the checkpoint verbatim."""
    with open_stored(log, KEY) as stored:
        text = str(prove(stored, 4))
        note, _ = stored.checkpoint()
    lines = text.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 4"
    assert text.endswith("\n\n" + note)
    assert len(lines[3 : lines.index("")]) == 4


@pytest.mark.parametrize(
    ("attack", "change"),
    [
        ("index_moved", lambda p: replace(p, index=p.index + 1)),
        ("index_past_the_end", lambda p: replace(p, index=13)),
        ("record_changed", lambda p: replace(p, record=p.record + b" ")),
        ("hash_flipped", lambda p: replace(p, hashes=(bytes(32), *p.hashes[1:]))),
        ("hash_dropped", lambda p: replace(p, hashes=p.hashes[:-1])),
        ("hash_added", lambda p: replace(p, hashes=(*p.hashes, bytes(32)))),
        ("hashes_swapped", lambda p: replace(p, hashes=p.hashes[::-1])),
        ("size_changed", lambda p: replace(p, note=p.note.replace("\n13\n", "\n12\n"))),
    ],
)
def test_a_changed_proof_is_refused(log: Path, attack: str, change: object) -> None:
    """Nothing in the file can be altered without the check failing."""
    with open_stored(log, KEY) as stored:
        proof = prove(stored, 4)
    with pytest.raises(LogTampered):
        change(proof).check(KEY)  # type: ignore[operator]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("index 4", "index 04"),
        lambda t: t.replace("index 4", "index  4"),
        lambda t: t.replace("@v1", "@v2"),
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("extra ", "more "),
        lambda t: "\n" + t,
        lambda t: t.split("\n\n")[0],
        lambda t: t.replace("index 4\n", "index 4\n" + "A" * 43 + "=\n" * 1) * 40,
        lambda t: "",
    ],
)
def test_a_proof_that_is_not_canonical_is_refused(log: Path, change: object) -> None:
    """One proof has one spelling: what could be read in two ways is not read at all."""
    with open_stored(log, KEY) as stored:
        text = change(str(prove(stored, 4)))  # type: ignore[operator]
    with pytest.raises(LogTampered):
        Proof.parse(text).check(KEY)


def test_a_proof_of_another_log_is_refused(log: Path) -> None:
    """The same tree under another key or another name proves nothing here."""
    with open_stored(log, KEY) as stored:
        proof = prove(stored, 4)
    for other in (logs.verifier(bytes(32)), logs.verifier(origin="example.org/other")):
        with pytest.raises(LogTampered):
            proof.check(other)


def test_a_record_without_a_checkpoint_is_not_proven(log: Path) -> None:
    """There is nothing signed that it could lead to; the error says what is covered."""
    with open_stored(log, KEY) as stored, pytest.raises(AuditError, match="record 13"):
        prove(stored, 13)


def test_a_changed_record_is_never_proven(tmp_path: Path) -> None:
    """The writer checks its own proof before it hands it out, and names the record."""
    logs.grow(tmp_path, 5)
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("UPDATE record SET bytes = bytes || ' ' WHERE idx = 2")
    with open_stored(tmp_path, KEY) as stored:
        with pytest.raises(LogTampered) as caught:
            prove(stored, 2)
        assert caught.value.index == 2


def test_a_changed_leaf_hash_elsewhere_is_seen(tmp_path: Path) -> None:
    """A proof over hashes that are not what was signed does not lead to the root."""
    logs.grow(tmp_path, 5)
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("UPDATE record SET leaf = zeroblob(32) WHERE idx = 2")
    with open_stored(tmp_path, KEY) as stored, pytest.raises(LogTampered):
        prove(stored, 5)


def test_a_longer_log_is_proven_to_begin_with_each_older_one(tmp_path: Path) -> None:
    """RFC 6962 consistency, from the stored log, checked from the file alone."""
    old = []
    for more in (1, 2, 4, 9):
        logs.grow(tmp_path, more)
        old.append(open_checkpoint((tmp_path / "checkpoint").read_text(), KEY))
    with open_stored(tmp_path, KEY) as stored:
        for before in old:
            extension = Extension.parse(str(prove_extension(stored, before)))
            assert extension.check(before, KEY) == old[-1]


def test_a_roll_back_has_no_consistency_proof(tmp_path: Path) -> None:
    """An older copy is shorter than a checkpoint that somebody kept."""
    logs.grow(tmp_path, 3)
    later = Checkpoint(logs.ORIGIN, 99, bytes(32))
    with open_stored(tmp_path, KEY) as stored, pytest.raises(LogTampered, match="99"):
        prove_extension(stored, later)


def test_a_fork_has_no_consistency_proof(tmp_path: Path) -> None:
    """The key's owner wrote another history; a checkpoint kept elsewhere shows it."""
    logs.grow(tmp_path / "a", 3, clock=lambda: 1.0)
    logs.grow(tmp_path / "b", 9, clock=lambda: 2.0)
    old = open_checkpoint((tmp_path / "a" / "checkpoint").read_text(), KEY)
    with open_stored(tmp_path / "b", KEY) as stored, pytest.raises(LogTampered, match="begin"):
        prove_extension(stored, old)


def test_a_consistency_proof_from_another_size_is_refused(tmp_path: Path) -> None:
    """The proof says from which size it leads; the kept checkpoint has to be of that size."""
    logs.grow(tmp_path, 3)
    old = open_checkpoint((tmp_path / "checkpoint").read_text(), KEY)
    logs.grow(tmp_path, 3)
    with open_stored(tmp_path, KEY) as stored:
        extension = prove_extension(stored, old)
    with pytest.raises(LogTampered, match="begins at"):
        replace(extension, old=4).check(old, KEY)


def test_a_note_signed_over_something_else_is_no_checkpoint(log: Path) -> None:
    """A signature of the log's key over a text that is no checkpoint carries no proof."""
    with open_stored(log, KEY) as stored:
        proof = prove(stored, 4)
    note = Signer.from_seed(logs.ORIGIN, logs.SEED).sign("hello\n")
    with pytest.raises(LogTampered):
        replace(proof, note=note).check(KEY)
