"""PostgreSQL as storage: a real server, several writers, sessions that die, a server that hangs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres import Cluster

from sovereign.audit import mirror, record
from sovereign.audit.chain import Chain
from sovereign.audit.mirror import fresh, local
from sovereign.audit.place import Place
from sovereign.audit.reader import read
from sovereign.audit.store import postgres as module
from sovereign.audit.store.postgres import LOCK, PostgresLogs
from sovereign.audit.verify import verify
from sovereign.errors import LogTampered, LogUnavailable

KEY, ORIGIN = bytes(range(32)), "log.example/a"

Begin = Callable[..., Chain]


@pytest.fixture
def begin(database: str, tmp_path: Path) -> Iterator[Begin]:
    """Opens the log as another machine would: its own folder, the same database and key."""
    made: list[Chain] = []

    def open_as(name: str, **changes: Any) -> Chain:
        fields: dict[str, Any] = {"key": KEY, "origin": ORIGIN, "source": name, "clock": time.time}
        chain = Chain(PostgresLogs(database, None), tmp_path / name, **(fields | changes))
        made.append(chain)
        return chain

    yield open_as
    for chain in made:
        chain.close()


def add(chain: Chain, name: str, n: int = 1, *, sign: bool = False) -> list[str]:
    one = record.prepare(record.event("log.read", command="x"), source=name)
    landed = chain.commit([one] * n, sign=sign)
    return [str(receipt) for receipt in landed.receipts(chain.number)]


def verified(database: str, folder: Path) -> Any:
    with fresh(Place(folder, database)) as copy:
        report = verify(copy)
    assert report.ok, [str(p) for p in report.problems]
    return report


def test_machines_take_turns_in_one_log(begin: Begin, database: str, tmp_path: Path) -> None:
    """Four writers at once: one order, each index once, each writer's own numbers without a gap."""
    chains = {name: begin(name) for name in "abcd"}
    taken: list[str] = []

    def work(name: str) -> None:
        for _ in range(25):
            taken.extend(add(chains[name], name, 3))

    threads = [threading.Thread(target=work, args=(name,)) for name in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, taken)) == list(range(300))
    add(chains["a"], "a", sign=True)
    report = verified(database, tmp_path / "a")
    assert (report.size, report.covered, report.sources) == (301, 301, 4)


def test_a_log_that_grows_while_it_is_copied_is_whole(
    begin: Begin, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is signed between the copying of records and of files is not one of records
    that the database lost."""
    chain, copied = begin("a"), mirror._add
    add(chain, "a", 3, sign=True)
    chain.publish()

    def grows(*given: Any) -> None:
        copied(*given)
        add(chain, "a", 2, sign=True)
        chain.publish()

    monkeypatch.setattr(mirror, "_add", grows)
    assert verified(database, tmp_path / "a").size == 3
    monkeypatch.setattr(mirror, "_add", copied)
    assert verified(database, tmp_path / "a").size == 5


def test_a_lock_of_a_killed_process_is_free_at_once(
    begin: Begin, database: str, tmp_path: Path
) -> None:
    """It dies in the middle of its transaction; what it had written is not there."""
    script = f"""
import os, sys, time, pathlib
from sovereign.audit.store.postgres import PostgresLogs
logs = PostgresLogs({database!r}, None)
store = logs.open(1)
with store.batch():
    store.put([(0, b'{{"seq":0,"source":"x"}}', bytes(32))])
    print("holding", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    began = time.monotonic()
    assert add(begin("a"), "a", sign=True) == ["0"]
    assert time.monotonic() - began < 2


def test_a_stopped_process_does_not_hold_the_log_for_long(
    begin: Begin, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stands still inside a transaction is cut off by the server, and can commit no more."""
    chain, sleeper = begin("a"), begin("b")
    add(chain, "a", sign=True)
    with pytest.raises(LogUnavailable), sleeper._open_store.batch():
        time.sleep(module.SECONDS + 1)
    assert add(chain, "a", sign=True) == ["1"]
    assert add(sleeper, "b", sign=True) == ["2"]


def test_whoever_waits_for_the_lock_is_told_in_time(begin: Begin, database: str) -> None:
    """Somebody holds it for ever: a refusal within seconds, no hang, and nothing written."""
    chain = begin("a")
    add(chain, "a")
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        began = time.monotonic()
        with pytest.raises(LogUnavailable, match=r"LockNotAvailable|QueryCanceled"):
            add(chain, "a")
        assert time.monotonic() - began < module.SECONDS + 2
    assert add(chain, "a") == ["1"]


def test_a_commit_whose_answer_was_lost_is_not_made_twice(begin: Begin, database: str) -> None:
    """The connection ends with the commit. The writer sees that its records are there."""
    chain = begin("a")
    add(chain, "a", sign=True)
    session = chain._logs._session  # type: ignore[attr-defined]
    real = session.connected()

    class Cut:
        """Commits, and does not say so."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def execute(self, statement: str, *values: Any) -> Any:
            done = real.execute(statement, *values)
            if statement == "COMMIT":
                real.close()
                raise psycopg.OperationalError
            return done

    session._connection = Cut()
    with pytest.raises(LogUnavailable):
        add(chain, "a")
    assert add(chain, "a", sign=True) == ["2"]
    seqs = [json.loads(data)["seq"] for _, _, data in chain.of_source("a")]
    assert seqs == [2, 1, 0]


def test_a_crash_of_the_server_refuses_and_its_return_goes_on(tmp_path: Path) -> None:
    """`pg_ctl stop -m immediate` at work, then a start: refused meanwhile, whole afterwards. Then
    the server hangs: refused within seconds."""
    cluster = Cluster(tmp_path / "pg")
    cluster.start()
    try:
        chain = Chain(
            PostgresLogs(cluster.url, None),
            tmp_path / "a",
            key=KEY,
            origin=ORIGIN,
            source="a",
            clock=time.time,
        )
        promised = add(chain, "a", 100)
        cluster.stop("immediate")
        with pytest.raises(LogUnavailable):
            add(chain, "a")
        with pytest.raises(LogUnavailable):
            PostgresLogs(cluster.url, None)
        cluster.start()
        promised += add(chain, "a", 3)
        cluster.freeze()
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            add(chain, "a")
        waited = time.monotonic() - began
        cluster.thaw()
        assert waited < module.SECONDS + 3
        promised += add(chain, "a", 2, sign=True)
        chain.close()
        report = verified(cluster.url, tmp_path / "a")
        assert report.size >= len(promised)
        assert len(set(promised)) == 105
    finally:
        cluster.thaw()
        cluster.stop("immediate")


def test_a_server_that_does_not_sync_is_refused(tmp_path: Path) -> None:
    """fsync = off would make every acknowledgement a promise that nobody keeps."""
    cluster = Cluster(tmp_path, options=("fsync=off",))
    cluster.start()
    try:
        with pytest.raises(LogUnavailable, match="fsync = off"):
            PostgresLogs(cluster.url, None)
    finally:
        cluster.stop("immediate")


TAMPERINGS: dict[str, tuple[str, str]] = {
    "a record changed": (
        "UPDATE sovereign_audit.record_1 SET bytes = 'x' WHERE idx = 2",
        "record 2",
    ),
    "a leaf hash changed": (
        "UPDATE sovereign_audit.record_1 SET leaf = decode(repeat('00', 32), 'hex') WHERE idx = 2",
        "record 2",
    ),
    "a record removed": ("DELETE FROM sovereign_audit.record_1 WHERE idx = 2", "record 2"),
    "the newest removed": ("DELETE FROM sovereign_audit.record_1 WHERE idx > 2", "records 3 to 4"),
    "a checkpoint changed": (
        "UPDATE sovereign_audit.checkpoint_1 SET note = replace(note, E'\\n5\\n', E'\\n4\\n')",
        "checkpoint 5",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_change_in_the_database_is_found_and_named(
    begin: Begin, database: str, tmp_path: Path, name: str
) -> None:
    """Verification reads the database anew; a mirror that was made before hides nothing."""
    chain = begin("a")
    add(chain, "a", 5, sign=True)
    chain.publish()
    chain.close()
    place = Place(tmp_path / "a", database)
    assert len(read(local(place), last=10)) == 5
    statement, said = TAMPERINGS[name]
    with psycopg.connect(database) as db:
        db.execute(statement)  # type: ignore[call-overload]
    with fresh(place) as copy:
        problems = [str(p) for p in verify(copy).problems]
    assert any(said in problem for problem in problems), problems
    if "record" in name:
        return
    with pytest.raises(LogTampered):
        begin("a")


def test_a_database_that_was_put_back_is_not_gone_on_with(
    begin: Begin, database: str, tmp_path: Path
) -> None:
    """Each machine remembers the last checkpoint that it saw signed; so does a running writer, even
    if others have appended to the old copy since."""
    running, other = begin("a"), begin("b")
    add(running, "a", 3, sign=True)
    with psycopg.connect(database) as db:
        db.execute("DELETE FROM sovereign_audit.record_1")
        db.execute("DELETE FROM sovereign_audit.checkpoint_1")
    with pytest.raises(LogTampered, match="became shorter"):
        add(running, "a")
    running.publish()
    with pytest.raises(LogTampered, match="0 records, but 3 were signed"):
        begin("a")
    add(begin("c"), "c", 7, sign=True)  # a machine that never saw it cannot know
    with pytest.raises(LogTampered, match="replaced while in use"):
        add(running, "a")
    other.close()


def test_an_empty_database_behind_a_later_log_is_refused(
    begin: Begin, database: str, tmp_path: Path
) -> None:
    """The anchors on this machine know that there was a second log."""
    chain = begin("a")
    add(chain, "a")
    assert chain.rotate() == 2
    with psycopg.connect(database) as db:
        db.execute("DROP SCHEMA sovereign_audit CASCADE")
    with pytest.raises(LogTampered, match="log 2 was signed"):
        begin("a")


def test_all_machines_follow_a_rotation(begin: Begin, database: str, tmp_path: Path) -> None:
    """One ends the log; the others go on in the next, through two of them if they slept."""
    a, b = begin("a"), begin("b")
    add(a, "a")
    add(b, "b")
    assert a.rotate() == 2
    add(a, "a", sign=True)
    assert a.rotate() == 3
    assert add(b, "b", sign=True)[0].startswith("3/")
    report = verified(database, tmp_path / "a")
    assert [log.state for log in report.logs] == ["whole"] * 3
    shown = read(local(Place(tmp_path / "b", database)), last=100)
    assert {one.log for one in shown} == {1, 2, 3}


def test_the_password_is_in_the_environment_and_nowhere_else(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is configured; a command line that starts a sequencer holds the name only."""
    monkeypatch.setenv("LOG_PASSWORD", "hunter2")
    place = Place(tmp_path, database, "LOG_PASSWORD")
    assert place.password() == "hunter2"
    assert "hunter2" not in repr(place) + " ".join(place.arguments())
    with contextlib.closing(place.logs()) as logs:
        assert logs.newest() == 1
