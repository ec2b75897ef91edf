"""What may go, when, and that the chain is whole without it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sovereign.audit import record
from sovereign.audit.chain import Chain, standing_holds
from sovereign.audit.history import find, logs, spanning
from sovereign.audit.note import Checkpoint, Signer
from sovereign.audit.proof import Proof, prove
from sovereign.audit.reader import read
from sovereign.audit.retention import Hold, check_clock, declared, final_proof, standing, survey
from sovereign.audit.store.folders import FINAL, Folders
from sovereign.audit.stored import open_stored
from sovereign.audit.tree import leaf_hash
from sovereign.audit.verify import main, verify
from sovereign.errors import AuditError, LogTampered

KEY, ORIGIN = bytes(range(32)), "log.example/a"
VERIFIER = Signer.from_seed(ORIGIN, KEY).verifier
DAY = 86_400.0


def at(year: int, month: int, day: int = 1) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


class House:
    """A chain with a clock of its own."""

    def __init__(self, folder: Path, source: str = "a") -> None:
        self.folder, self.now, self.source = folder, at(2020, 1), source
        self.chain = Chain(
            Folders(folder), folder, key=KEY, origin=ORIGIN, source=source, clock=lambda: self.now
        )

    def add(self, kind: str = "log.read", **fields: object) -> None:
        self.write(kind, sign=True, **(fields or {"command": "x"}))

    def write(self, kind: str, *, sign: bool = False, **fields: object) -> None:
        made = record.prepare(record.event(kind, **fields), source=self.source)
        self.chain.commit([made], sign=sign)

    def holds(self) -> dict[str, dict[str, str]]:
        return self.chain.holds()

    def delete(self, days: int) -> list[int]:
        gone = []
        for one in survey(self.folder, VERIFIER, days, standing(self.folder, VERIFIER)):
            if one.due(self.now):
                proof = str(final_proof(one))
                for earlier in declared(one):
                    self.add("log.delete", **earlier)
                self.add(
                    "log.delete",
                    log=one.past.number,
                    size=one.size,
                    root=one.root,
                    until=one.ended,
                    retain_days=days,
                )
                self.chain.drop(one.past.number, proof)
                gone.append(one.past.number)
        return gone


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Three logs: 2020, 2021, and 2022 so far."""
    made = House(tmp_path / "log")
    for year in (2021, 2022):
        made.add()
        made.add()
        made.now = at(year, 1)
        made.chain.rotate("period")
    made.add()
    return made


def problems(folder: Path) -> list[str]:
    return [str(p) for p in verify(folder, key=str(VERIFIER)).problems]


def test_a_log_goes_when_its_last_record_is_old_enough_and_not_a_day_before(house: House) -> None:
    """Six years of HIPAA after the end of 2020."""
    house.now = at(2021, 1) + 2191 * DAY
    assert house.delete(2192) == []
    house.now += 2 * DAY
    assert house.delete(2192) == [1]
    assert survey(house.folder, VERIFIER, None, {})[0].expires is None


def test_the_chain_verifies_without_what_was_deleted(house: House, tmp_path: Path) -> None:
    """By the file that an auditor runs alone; a proof from before still verifies."""
    with open_stored(house.folder, VERIFIER) as stored:
        older = prove(stored, 1)
    house.now = at(2030, 1)
    assert house.delete(184) == [1, 2]
    assert problems(house.folder) == []
    report = verify(house.folder)
    assert [log.state for log in report.logs] == ["deleted", "deleted", "whole"]
    assert main([str(house.folder), "--key", str(VERIFIER)]) == 0
    assert older.check(VERIFIER).index == 1
    assert not (house.folder / "log.db").exists()
    assert {one.log for one in read(house.folder, last=100)} == {3}
    with pytest.raises(AuditError, match="were deleted"):
        find(house.folder, VERIFIER, 1)
    house.add()
    assert problems(house.folder) == []


def test_a_hold_keeps_the_time_that_it_names_over_every_rotation(house: House) -> None:
    """It stands in each new log until it is released; what it does not name may go."""
    house.add("log.hold", name="case-7", action="set", since="2021-03-01T00:00:00.000Z")
    house.now = at(2023, 1)
    house.chain.rotate()
    assert house.holds() == {"case-7": {"since": "2021-03-01T00:00:00.000Z"}}
    house.now = at(2040, 1)
    assert house.delete(184) == [1]
    house.add("log.hold", name="case-7", action="release")
    assert house.delete(184) == [2, 3]
    assert problems(house.folder) == []


def blind(file: Path) -> None:
    """Leave the index of holds empty, and its definition as it was."""
    for old, new in (("log.hold", "log.hola"), ("log.hola", "log.hold")):
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?)", (old, new))
            (version,) = db.execute("PRAGMA schema_version").fetchone()
            db.execute(f"PRAGMA schema_version = {version + 1}")
        if new == "log.hola":
            with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
                db.execute("REINDEX hold")


def test_a_hold_that_is_not_in_the_database_s_index_stands(house: House) -> None:
    """The index is not signed. What a rotation did not take over stands in the log before it."""
    house.add("log.hold", name="case-7", action="set", until="2021-01-01T00:00:00.000Z")
    house.chain.close()
    blind(house.folder / "logs" / "0003" / "log.db")
    assert standing(house.folder, VERIFIER)["case-7"].log == 3
    house = House(house.folder, "b")
    house.now = at(2023, 1)
    house.chain.rotate()
    assert house.holds() == {}
    house.now = at(2040, 1)
    assert house.delete(184) == [2]
    house.add("log.hold", name="case-7", action="release")
    assert house.delete(184) == [1, 3]


def test_a_hold_record_that_was_changed_is_no_answer(house: House) -> None:
    """Nothing is deleted by what somebody wrote over a hold, with its leaf hash."""
    house.add("log.hold", name="case-7", action="set")
    with contextlib.closing(sqlite3.connect(house.folder / "logs/0003/log.db")) as db:
        (index, data) = db.execute("SELECT idx, bytes FROM record ORDER BY 1 DESC").fetchone()
        data = data.replace(b'"set"', b'"release"')
        row = (data, leaf_hash(data), index)
        db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = ?", row)
        db.commit()
    with pytest.raises(LogTampered, match="not what was signed"):
        standing(house.folder, VERIFIER)


def test_only_a_signed_record_releases_a_hold(house: House) -> None:
    """Past the last checkpoint anybody could have written one; a hold there is believed."""
    house.add("log.hold", name="case-7", action="set")
    house.write("log.hold", name="case-7", action="release")
    house.write("log.hold", name="case-8", action="set")
    assert set(standing(house.folder, VERIFIER)) == {"case-7", "case-8"}
    house.add()
    assert set(standing(house.folder, VERIFIER)) == {"case-8"}


def test_a_log_that_is_not_what_was_signed_is_never_deleted(house: House) -> None:
    """It is evidence."""
    with contextlib.closing(sqlite3.connect(house.folder / "log.db")) as db:
        db.execute("UPDATE record SET leaf = zeroblob(32) WHERE idx = 1")
        db.commit()
    house.now = at(2040, 1)
    with pytest.raises(LogTampered, match="record 1 is not what") as caught:
        house.delete(184)
    assert caught.value.index == 1
    assert (house.folder / "log.db").exists()


CHEATS = {
    "without a word": "no log.delete record says so",
    "without its last word": "its records are gone, and so is its final.tlog-proof",
    "with another last word": "cannot be believed",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_records_that_went_otherwise_are_missed(house: House, cheat: str) -> None:
    """Whoever deletes a log by hand is found out."""
    (first, *_) = survey(house.folder, VERIFIER, 1, {})
    proof = final_proof(first)
    if cheat == "with another last word":
        proof = Proof(0, proof.record + b" ", proof.hashes, proof.note)
    house.chain.drop(1, str(proof))
    if cheat == "without its last word":
        (house.folder / FINAL).unlink()
    found = problems(house.folder)
    assert any(CHEATS[cheat] in problem for problem in found), found


def test_a_held_log_cannot_go_behind_a_later_one_that_was_deleted(house: House) -> None:
    """The later one might have said that the earlier was deleted; then a log that is left does."""
    house.add("log.hold", name="case-7", action="set", until="2020-06-01T00:00:00.000Z")
    house.now = at(2040, 1)
    assert house.delete(184) == [2]
    (first, *_) = survey(house.folder, VERIFIER, 1, {})
    house.chain.drop(1, str(final_proof(first)))
    (problem,) = problems(house.folder)
    assert problem == "its records are gone, and no log.delete record says so"


def test_what_a_log_says_of_deleted_ones_is_said_again_before_it_goes(house: House) -> None:
    """Log 1 was deleted while log 3 was written, and log 3 is deleted while log 4 is."""
    house.now = at(2022, 1) + 100 * DAY
    assert house.delete(365) == [1]
    house.now = at(2023, 1)
    house.chain.rotate()
    house.now = at(2040, 1)
    assert house.delete(184) == [2, 3]
    assert problems(house.folder) == []


def test_a_deleted_log_cannot_be_exchanged_for_another(house: House, tmp_path: Path) -> None:
    """The next log's first record says whose end it saw."""
    other = House(tmp_path / "other")
    other.add()
    other.chain.rotate()
    other.chain.close()
    (theirs,) = survey(other.folder, VERIFIER, 1, {})
    house.now = at(2040, 1)
    house.delete(184)
    (house.folder / FINAL).write_text(str(final_proof(theirs)))
    assert any("log 1 is not the one" in p for p in problems(house.folder))


def test_a_checkpoint_of_a_deleted_log_is_held_against_its_last(
    house: House, tmp_path: Path
) -> None:
    """Of the beginning of a log that is gone nothing can be said; of its end, and past it, all."""
    with open_stored(house.folder, VERIFIER) as stored:
        _, final = stored.checkpoint()
    house.now = at(2040, 1)
    house.delete(184)
    signer, kept = Signer.from_seed(ORIGIN, KEY), tmp_path / "kept"
    for size, root, right in (
        (final.size, final.root, True),
        (1, bytes(32), True),
        (final.size, bytes(32), False),
        (final.size + 1, bytes(32), False),
    ):
        kept.write_text(signer.sign(str(Checkpoint(ORIGIN, size, root))))
        assert verify(house.folder, key=str(VERIFIER), checkpoints=[kept]).ok is right, size


def test_a_copy_of_a_chain_that_lost_logs_says_what_is_left(house: House, tmp_path: Path) -> None:
    """History names each log; the deleted ones say so."""
    house.now = at(2040, 1)
    house.delete(184)
    shutil.copytree(house.folder, tmp_path / "copy")
    assert [past.deleted for past in logs(tmp_path / "copy", VERIFIER)] == [True, True, False]


def test_the_last_word_about_a_hold_counts() -> None:
    """Set, released, set again."""

    def hold(name: str, action: str) -> bytes:
        return json.dumps({"name": name, "action": action}).encode()

    said = [hold("a", "set"), hold("b", "stands"), hold("a", "release"), hold("a", "set")]
    assert set(standing_holds(iter(said))) == {"a", "b"}
    assert set(standing_holds(iter(said[:3]))) == {"b"}


def test_a_clock_that_jumps_never_makes_a_log_due_earlier_nor_slips_it_from_a_hold(
    tmp_path: Path,
) -> None:
    """Back at the end of a log, back until its end, and forward and back: what has to be kept is
    kept from the latest time that its records can be of, and a hold on any of it holds it."""
    hold = {"case": Hold("2026-07-01", "2026-09-01", 2)}
    for name, clock in {
        "back at its end": (at(2026, 8), at(2001, 1)),
        "back until its end": (at(2001, 1), at(2026, 8, 2)),
        "forward, then back": (at(2031, 1), at(2001, 1)),
    }.items():
        house = House(tmp_path / name.replace(" ", "-"))
        house.now = clock[0]
        house.add()
        house.now = clock[1]
        house.chain.rotate("asked")
        house.now = at(2026, 8, 2)
        house.add()
        (one,) = survey(house.folder, VERIFIER, 2192, hold)
        assert one.held == ("case",), name
        assert one.expires is not None
        assert one.expires > "2032-07", name
        (free,) = survey(house.folder, VERIFIER, 2192, {})
        assert not free.due(at(2026, 8, 3)), name
        house.chain.close()


def test_nothing_is_deleted_by_a_clock_that_the_newest_record_does_not_bear_out(
    house: House,
) -> None:
    """The machine that deletes may be the one whose clock is wrong."""
    house.now = at(2022, 3)
    house.add()
    check_clock(house.folder, VERIFIER, at(2022, 3) + 20 * DAY)
    for now in (at(2040, 1), at(2022, 3) + 32 * DAY, at(2022, 3) - 2 * DAY, at(2001, 1)):
        with pytest.raises(AuditError, match="the clock says"):
            check_clock(house.folder, VERIFIER, now)


def test_a_report_finds_records_that_a_jump_put_into_a_later_log(tmp_path: Path) -> None:
    """Forward to 2031, which ends the log, and then corrected: a record of August 2026 is in the
    log that began in 2031, after one that is of 2031."""
    house = House(tmp_path / "log")
    house.now = at(2026, 8)
    house.add()
    house.now = at(2031, 1)
    house.chain.rotate("period")
    house.add()
    house.now = at(2026, 8, 2)
    house.add()
    found = spanning(house.folder, VERIFIER, "2026-08-02", "2026-08-03")
    assert 2 in [past.number for past in found]
