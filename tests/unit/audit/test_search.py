"""Search answers yes with records, no over what was read whole, or says that it cannot know."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from pathlib import Path

import logs
import pytest

from sovereign.audit import record
from sovereign.audit.chain import Chain
from sovereign.audit.log import Log
from sovereign.audit.proof import prove
from sovereign.audit.search import Answer, Whole, open_index, search_chain
from sovereign.audit.store.folders import Folders
from sovereign.audit.stored import open_stored
from sovereign.audit.tokens import TokenKey, Tokens
from sovereign.errors import LogTampered
from sovereign.types import Action, Destination, Verdict

KEY = logs.verifier()
TOKENS = TokenKey.of(bytes(range(32)))
SSN = "123-45-6789"
JANUARY, MARCH = 1_768_000_000.0, 1_773_000_000.0
HOSTED = Destination("openai", "hosted")


FOUND = Verdict(Action.PSEUDONYMIZE, HOSTED, "a" * 64, (), {"US_SSN": {"pseudonymize": 1}})


def intent(
    tokens: Tokens | None, n: int = 0, team: str = "oncology", verdict: Verdict = FOUND
) -> record.Record:
    return record.intent(
        request=f"req_{n}", team=team, key_id="k", endpoint="openai.chat", model="m",
        destination=HOSTED, verdict=verdict, guard_build="b" * 64,
        body_sha256="c" * 64, bytes_out=1, stream=False, tokens=tokens,
    )  # fmt: skip


def decide(
    folder: Path,
    *values: tuple[str, str],
    at: float = JANUARY,
    team: str = "oncology",
    key: TokenKey | None = TOKENS,
    refuse: bool = False,
    times: int = 1,
) -> None:
    """A log that grew by decisions about ``values``."""
    entities = {entity: {"pseudonymize": 1} for entity, _ in values}
    verdict = Verdict(
        Action.BLOCK if refuse else Action.PSEUDONYMIZE, HOSTED, "a" * 64, (), entities
    )
    tokens = key.tokens(team, values, at) if key else None
    with Log.open(
        folder, key=logs.SEED, origin=logs.ORIGIN, source="gateway", clock=lambda: at
    ) as log:
        for n in range(times):
            if refuse:
                made = record.refusal(
                    request=f"req_{n}", team=team, key_id="k", endpoint="openai.chat", model="m",
                    code="refused_by_policy", status=403, verdict=verdict, tokens=tokens,
                )  # fmt: skip
            else:
                made = intent(tokens, n, team, verdict)
            log.submit(made)


def search(folder: Path, value: str = SSN, *, key: TokenKey = TOKENS, **more: str) -> Answer:
    with open_index(folder, key) as index, open_stored(folder, KEY) as stored:
        return index.search(stored, key, value, **more)


def test_a_value_is_found_in_every_month_and_team(tmp_path: Path) -> None:
    """Tokens differ by epoch and team; a search knows which there were."""
    decide(tmp_path, ("US_SSN", SSN), ("PERSON", "Ann Lee"))
    decide(tmp_path, ("US_SSN", "123 45 6789"), at=MARCH, team="billing")
    decide(tmp_path, ("PERSON", "Bo Chan"), at=MARCH)
    decide(tmp_path, ("US_SSN", SSN), at=MARCH, refuse=True)
    answer = search(tmp_path)
    assert [index for index, _ in answer.found] == [1, 4, 10]
    assert [r["type"] for _, r in answer.found][-1] == "request.refusal"
    assert (answer.decisions, answer.complete) == (4, True)
    assert search(tmp_path, "ann  lee").found[0][0] == 1


def test_a_value_is_found_whatever_it_was_taken_for(tmp_path: Path) -> None:
    """A recogniser that calls a social security number an identifier must not cause a false no."""
    decide(tmp_path, ("IDENTIFIER", SSN))
    assert [index for index, _ in search(tmp_path, "123456789").found] == [1]


class Years:
    """Three logs, 2026, 2027 and 2028 so far, with a decision about SSN in each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, JANUARY
        self.chain = Chain(
            Folders(folder),
            folder,
            key=logs.SEED,
            origin=logs.ORIGIN,
            source="a",
            clock=lambda: self.now,
        )
        for year in range(3):
            self.now = JANUARY + year * 365 * 86_400
            if year:
                self.chain.rotate("period")
            self.add()
            self.add()
        self.chain.close()

    def add(self) -> None:
        made = intent(TOKENS.tokens("oncology", [("US_SSN", SSN)], self.now))
        self.chain.commit([record.prepare(made, source="a")], sign=True)
        self.chain.publish()

    def search(self, value: str = SSN, **more: str) -> Whole:
        return search_chain(self.folder, KEY, TOKENS, value, **more)  # type: ignore[arg-type]


def test_a_chain_is_searched_only_if_each_log_goes_on_from_the_one_before(tmp_path: Path) -> None:
    """A log that was taken out, or cut to what an older checkpoint signed, would be a no."""
    whole = Years(tmp_path / "log").search()
    assert len(whole.found) == 6
    no = Years(tmp_path / "no").search("999-99-9999")
    assert (no.found, no.complete) == ([], True)
    gone = Years(tmp_path / "gone")
    shutil.rmtree(gone.folder / "logs" / "0002")
    with pytest.raises(LogTampered, match="log 2 is missing"):
        gone.search(until="2028")
    short = Years(tmp_path / "short")
    _cut(short.folder, 2)
    (short.folder / "checkpoint").unlink()
    with pytest.raises(LogTampered, match="log 1 is not the one"):
        short.search()
    newest = Years(tmp_path / "newest")
    _cut(newest.folder / "logs" / "0003", 2)
    with pytest.raises(LogTampered, match="a checkpoint beside it has 3"):
        newest.search()


def _cut(folder: Path, size: int) -> None:
    with sqlite3.connect(folder / "log.db") as db:
        db.execute("DELETE FROM record WHERE idx >= ?", (size,))
        db.execute("DELETE FROM checkpoint WHERE size > ?", (size,))


def test_no_is_not_said_of_the_time_of_a_log_that_is_gone(tmp_path: Path) -> None:
    """Its proof of the first record says when it began; no other record's will do, and a first
    record of the next log that was changed does not say when it ended."""
    for name in ("right", "last", "next"):
        years = Years(tmp_path / name)
        with open_stored(years.folder, KEY) as stored:
            _, final = stored.checkpoint()
            proof = prove(stored, final.size - 1 if name == "last" else 0)
        Folders(years.folder).drop(1, str(proof))
        if name == "right":
            assert years.search(until="2026-03").deleted == (1,)
        elif name == "last":
            with pytest.raises(LogTampered, match="no proof of the first record"):
                years.search(until="2026-03")
        else:
            years.search()
            with sqlite3.connect(years.folder / "logs" / "0002" / "log.db") as db:
                (data,) = db.execute("SELECT bytes FROM record WHERE idx = 0").fetchone()
                data = data.replace(b'"time":"2027', b'"time":"2026')
                leaf = hashlib.sha256(b"\0" + data).digest()
                db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = 0", (data, leaf))
            with pytest.raises(LogTampered, match="record 0"):
                years.search(since="2026-03", until="2026-04")


def test_no_is_said_over_records_that_were_read_whole(tmp_path: Path) -> None:
    """Each decision had tokens of this key, and the tree of all records led to the signed root."""
    decide(tmp_path, ("US_SSN", SSN), times=5)
    decide(tmp_path, times=3)  # nothing was found in these: an empty list, not a missing one
    answer = search(tmp_path, "999-99-9999")
    assert (answer.found, answer.complete, answer.decisions) == ((), True, 8)
    with open_stored(tmp_path, KEY) as stored:
        assert stored.checkpoint()[1].root == answer.root


def test_no_is_not_said_over_decisions_without_tokens(tmp_path: Path) -> None:
    """No token key, or another one, or more values than fit: then nobody knows."""
    decide(tmp_path, ("US_SSN", SSN), key=None)
    answer = search(tmp_path)
    assert (answer.found, answer.complete, answer.blind) == ((), False, 1)
    decide(tmp_path, ("US_SSN", SSN), key=TokenKey.of(bytes(32)))
    assert search(tmp_path).blind == 2
    decide(tmp_path, *[("US_SSN", str(n)) for n in range(1000, 1200)])
    answer = search(tmp_path)
    assert (answer.cut, answer.complete) == (1, False)


def test_a_range_and_a_team_limit_what_is_looked_at(tmp_path: Path) -> None:
    """Decisions out of the range neither answer nor spoil the answer."""
    decide(tmp_path, ("US_SSN", SSN), key=None)
    decide(tmp_path, ("US_SSN", SSN), at=MARCH)
    assert len(search(tmp_path, since="2026-03-01").found) == 1
    early = search(tmp_path, since="2026-01-01", until="2026-02-01")
    assert (early.found, early.decisions, early.complete) == ((), 1, False)
    assert search(tmp_path, since="2026-03-01", team="billing").found == ()


def test_decisions_are_counted_to_the_millisecond(tmp_path: Path) -> None:
    """Whole hours come from a tally, the edges one by one: together they are every decision."""
    import itertools

    from sovereign.audit.record import stamp_time

    moments = [JANUARY + s for s in (0, 1, 1799.5, 3599, 3600, 7200, 90_000)]
    for at in moments:
        decide(tmp_path, at=at)
    edges = ["", "~", *(stamp_time(at).decode() for at in moments)]
    with open_index(tmp_path, TOKENS) as index, open_stored(tmp_path, KEY) as stored:
        for since, until in itertools.product(edges, edges):
            expected = sum(since <= stamp_time(at).decode() < until for at in moments)
            answer = index.search(stored, TOKENS, SSN, since=since, until=until)
            assert answer.decisions == expected, (since, until)


def test_a_record_that_was_taken_out_after_it_was_indexed_is_missed(tmp_path: Path) -> None:
    """The index knows a record that the log no longer has: that is said, not passed over."""
    decide(tmp_path, ("US_SSN", SSN))
    search(tmp_path)
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("DELETE FROM record WHERE idx = 1")
    with pytest.raises(LogTampered) as caught:
        search(tmp_path)
    assert caught.value.index == 1


def test_nothing_is_answered_about_a_log_that_was_changed(tmp_path: Path) -> None:
    """A record changed before it was indexed, with its leaf hash: the root shows it."""
    from sovereign.audit.tree import leaf_hash

    decide(tmp_path, ("US_SSN", SSN))
    with sqlite3.connect(tmp_path / "log.db") as db:
        (data,) = db.execute("SELECT bytes FROM record WHERE idx = 1").fetchone()
        data = data.replace(b"oncology", b"oncologz")
        db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = 1", (data, leaf_hash(data)))
    with pytest.raises(LogTampered):
        search(tmp_path)


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b'{"time":1}', b'["x"]'])
def test_what_is_no_record_is_no_answer(tmp_path: Path, data: bytes) -> None:
    """It is read before the root can show that nobody signed it."""
    decide(tmp_path)
    data += b'"type":"request.intent"'
    with sqlite3.connect(tmp_path / "log.db") as db:
        leaf = hashlib.sha256(b"\0" + data).digest()
        db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = 1", (data, leaf))
    with pytest.raises(LogTampered):
        search(tmp_path)


def test_a_rolled_back_log_is_not_searched(tmp_path: Path) -> None:
    """The index has seen more than there is."""
    decide(tmp_path / "log", ("US_SSN", SSN))
    shutil.copytree(tmp_path / "log", tmp_path / "old")
    decide(tmp_path / "log", ("US_SSN", SSN))
    search(tmp_path / "log")
    shutil.copy(tmp_path / "log" / "search.db", tmp_path / "old" / "search.db")
    with pytest.raises(LogTampered, match="were indexed"):
        search(tmp_path / "old")


def test_a_rewritten_log_is_not_searched(tmp_path: Path) -> None:
    """Another history under the same key does not continue what was indexed."""
    decide(tmp_path / "a", ("US_SSN", SSN))
    decide(tmp_path / "b", at=MARCH, times=9)
    search(tmp_path / "a")
    shutil.copy(tmp_path / "a" / "search.db", tmp_path / "b" / "search.db")
    with pytest.raises(LogTampered, match="does not continue"):
        search(tmp_path / "b")


def test_the_index_is_made_again_and_holds_no_value(tmp_path: Path) -> None:
    """Deleting it costs a moment; what is in it is in the log, so tokens only."""
    decide(tmp_path, ("US_SSN", SSN), ("PERSON", "Ann Lee"))
    first = search(tmp_path)
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        assert b"6789" not in data
        assert b"Lee" not in data
    assert (tmp_path / "search.db").stat().st_mode & 0o077 == 0
    (tmp_path / "search.db").unlink()
    assert search(tmp_path) == first


def test_an_index_that_somebody_changed_is_made_again(tmp_path: Path) -> None:
    """No signature is over it: a token taken out of it must not make a no."""
    decide(tmp_path, ("US_SSN", SSN))
    first = search(tmp_path)
    with sqlite3.connect(tmp_path / "search.db") as db:
        db.execute("DELETE FROM token")
    assert search(tmp_path) == first
    whole = (tmp_path / "search.db").read_bytes()
    for other in (b"", whole[:-32], whole[:-1], whole[32:], whole + bytes(32), bytes(10_000)):
        (tmp_path / "search.db").write_bytes(other)
        assert search(tmp_path) == first
        assert (tmp_path / "search.db").read_bytes() == whole


def test_an_index_kept_under_another_key_is_made_again(tmp_path: Path) -> None:
    """Whoever has no token key, or an old one, cannot say what is in an index."""
    decide(tmp_path, ("US_SSN", SSN))
    search(tmp_path, key=TokenKey.of(bytes(32)))
    assert len(search(tmp_path).found) == 1


def test_an_index_is_written_again_once_enough_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then what is new is read each time."""
    monkeypatch.setattr("sovereign.audit.search.AGAIN", 10)
    decide(tmp_path, ("US_SSN", SSN))
    search(tmp_path)
    kept = (tmp_path / "search.db").read_bytes()
    decide(tmp_path, ("US_SSN", SSN), at=MARCH)
    assert len(search(tmp_path).found) == 2
    assert (tmp_path / "search.db").read_bytes() == kept
    decide(tmp_path, times=10)
    assert len(search(tmp_path).found) == 2
    assert (tmp_path / "search.db").read_bytes() != kept
    assert len(search(tmp_path).found) == 2


def test_a_record_that_was_changed_after_it_was_indexed_is_not_answered_from(
    tmp_path: Path,
) -> None:
    """Another time and the leaf hash that belongs to it: it would be out of the range, and a no."""
    from sovereign.audit.tree import leaf_hash

    decide(tmp_path, ("US_SSN", SSN))
    search(tmp_path)
    with sqlite3.connect(tmp_path / "log.db") as db:
        (data,) = db.execute("SELECT bytes FROM record WHERE idx = 1").fetchone()
        for other in (data.replace(b'"time":"2026', b'"time":"2025'), data[:40], b"[" * 100_000):
            row = (other, leaf_hash(other))
            db.execute("UPDATE record SET bytes = ?, leaf = ? WHERE idx = 1", row)
            db.commit()
            with pytest.raises(LogTampered) as caught:
                search(tmp_path, since="2026-01-01")
            assert caught.value.index == 1
