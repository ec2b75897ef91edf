"""A log behind its sequencer: what a client is promised, with real processes and real sockets."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import threading
import time

import pytest
from sequenced import KEY, ORIGIN, begin, intent, kill, pid_of, some, stored, wait_until

from sovereign.audit import record, wire
from sovereign.audit.hub import LAG_SECONDS
from sovereign.audit.log import Log
from sovereign.audit.starting import Starter, connect
from sovereign.audit.verify import verify
from sovereign.errors import ConfigError, LogTampered, LogUnavailable, RecordRejected


def test_a_receipt_is_the_records_place_and_leaf(starter: Starter) -> None:
    """The same promise as without a sequencer, and the same leaf."""
    with begin(starter) as log:
        receipts = [f.result() for f in [log.submit(some(i)) for i in range(300)]]
    with sqlite3.connect(starter.folder / "log.db") as db:
        leaves = dict(db.execute("SELECT idx, leaf FROM record").fetchall())
    db.close()
    assert [r.leaf for r in receipts] == [leaves[r.index] for r in receipts]
    records = stored(starter)
    assert [records[r.index]["request"] for r in receipts] == [f"r{i}" for i in range(300)]
    report = verify(starter.folder, key=log.vkey)
    assert report.ok
    assert report.covered == report.size, "closing asked for a last checkpoint"


def test_only_the_owner_can_open_the_socket(starter: Starter) -> None:
    """Whoever can connect can append."""
    with begin(starter):
        socket_file = starter.folder / wire.SOCKET
        assert stat.S_IMODE(socket_file.stat().st_mode) == 0o600
        modes = {stat.S_IMODE(p.stat().st_mode) for p in starter.folder.iterdir()}
        assert modes == {0o600}


def test_many_clients_share_one_order(starter: Starter) -> None:
    """Every record has an index of its own, and each source's numbers have no gap."""
    taken: list[int] = []

    def work() -> None:
        with begin(starter) as log:
            taken.extend([log.append(some(i)).index for i in range(40)])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 240
    assert verify(starter.folder).ok


def test_a_second_sequencer_is_refused(starter: Starter) -> None:
    """One process writes. The second says so, and whoever wanted it uses the first."""
    with begin(starter) as log:
        first = pid_of(starter)
        starter.start()
        assert pid_of(starter) == first
        log.append(some())
    assert verify(starter.folder).ok


def test_a_sequencer_that_dies_is_replaced_and_nothing_is_lost_or_doubled(starter: Starter) -> None:
    """What was under way is sent again, and taken once; that there was a restart is a record."""
    with begin(starter) as log:
        futures = []
        for i in range(600):
            futures.append(log.submit(some(i) if i % 2 else intent(i)))
            if i == 300:
                os.kill(pid_of(starter), signal.SIGKILL)
        at = [f.result(timeout=20).index for f in futures]
    records = stored(starter)
    names = [r["request"] for r in records if "request" in r]
    sent = [f"r{i}" if i % 2 else f"i{i}" for i in range(600)]
    assert sorted(names) == sorted(sent)
    assert [records[i]["request"] for i in at] == sent
    assert [r["type"] for r in records].count("log.restart") == 1
    assert verify(starter.folder).ok


def test_without_a_sequencer_an_intent_is_refused_and_a_result_is_kept(starter: Starter) -> None:
    """Nothing may leave without a record in the log. What has happened is on disk, though, and is
    in the log, once, as soon as there is a sequencer again."""
    starter.start()
    log = begin(starter, starter=None, patience=0.3)
    log.append(some(1))
    kill(starter)
    refused, kept = log.submit(intent(1)), log.submit(some(2))
    with pytest.raises(LogUnavailable):
        refused.result(timeout=5)
    with pytest.raises(LogUnavailable):
        kept.result(timeout=5)
    assert [p.name for p in (starter.folder / "spool").iterdir()] == [log.source]
    begun = time.monotonic()
    with pytest.raises(LogUnavailable):
        log.append(intent(2))
    assert time.monotonic() - begun < 0.3, "once it has been away for long, nobody waits"
    starter.start()
    wait_until(lambda: any(r["type"] == "log.restart" for r in stored(starter)))
    log.append(intent(3))
    log.close()
    records = stored(starter)
    names = [r["request"] for r in records if "request" in r]
    # "i1" too, if it was under way before its sender saw the death: then it means "may have left".
    assert [n for n in names if n != "i1"] == ["r1", "r2", "i3"]
    (restart,) = [r for r in records if r["type"] == "log.restart"]
    assert restart["spooled"] == 1 + names.count("i1")
    assert restart["refused"] >= 2
    assert list((starter.folder / "spool").iterdir()) == []
    assert verify(starter.folder).ok


def test_what_a_dead_client_kept_is_taken_in_by_the_next_sequencer(starter: Starter) -> None:
    """Gateway and sequencer die together: the result of what left is not lost with them."""
    starter.start()
    log = begin(starter, starter=None, patience=0.2)
    log.append(some(1))
    kill(starter)
    with pytest.raises(LogUnavailable):
        log.append(some(2))
    with pytest.raises(LogUnavailable):
        log.close()
    starter.start()
    wait_until(lambda: any(r["type"] == "log.spool" for r in stored(starter)))
    records = stored(starter)
    assert [r["request"] for r in records if "request" in r] == ["r1", "r2"]
    (said,) = [r for r in records if r["type"] == "log.spool"]
    assert (said["of"], said["known"], said["damaged"]) == (log.source, 0, 0)
    assert list((starter.folder / "spool").iterdir()) == []
    assert verify(starter.folder).ok


def test_a_spool_that_cannot_be_removed_holds_up_nobody(starter: Starter) -> None:
    """All that was kept is in the log. What its disk says to the last of it must not keep an
    acknowledgement from who waits for it, nor end the connection that it came on."""
    starter.start()
    log = begin(starter, starter=None, patience=0.3)
    kill(starter)
    with pytest.raises(LogUnavailable):
        log.append(some(1))
    spool = starter.folder / "spool"
    spool.rename(spool.with_suffix(".away"))
    spool.touch()  # not a folder: nothing in it can be removed
    starter.start()
    assert [log.submit(intent(n)).result(timeout=10).index for n in range(2)]
    log.close()
    records = stored(starter)
    assert [r["request"] for r in records if "request" in r] == ["r1", "i0", "i1"]
    assert [r["type"] for r in records].count("log.restart") == 1
    assert verify(starter.folder).ok


def test_lost_numbers_of_a_spool_are_declared(starter: Starter) -> None:
    """A spool that was damaged leaves a gap in its source's numbers. The log says which are
    missing, and the verifier counts them."""
    starter.start()
    log = begin(starter, starter=None, patience=0.2)
    kill(starter)
    for i in range(3):
        with pytest.raises(LogUnavailable):
            log.append(some(i))
    with pytest.raises(LogUnavailable):
        log.close()
    file = starter.folder / "spool" / log.source
    file.write_bytes(file.read_bytes().replace(b'"r1"', b'"rX"'))
    starter.start()
    wait_until(lambda: any(r["type"] == "log.spool" for r in stored(starter)))
    (gap,) = [r for r in stored(starter) if r["type"] == "log.gap"]
    assert (gap["of"], gap["expected"], gap["found"]) == (log.source, 2, 3)
    wait_until(lambda: verify(starter.folder).covered == verify(starter.folder).size)
    report = verify(starter.folder)
    assert report.ok, [str(p) for p in report.problems]
    assert report.declared_lost == 1


def test_a_sequencer_that_hangs_is_one_that_is_away(starter: Starter) -> None:
    """A stopped process acknowledges nothing: the intent is refused in time, and nothing is
    doubled once it goes on."""
    log = begin(starter, patience=0.5)
    pid = pid_of(starter)
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(LogUnavailable):
        log.submit(intent(1)).result(timeout=20)
    assert time.monotonic() - begun < 15
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: log.submit(some(2)).exception(timeout=20) is None)
    log.close()
    names = [r["request"] for r in stored(starter) if r.get("request") == "i1"]
    assert len(names) <= 1
    assert verify(starter.folder).ok


def test_a_database_that_is_away_is_waited_for_once_and_then_refused_at_once(
    starter: Starter,
) -> None:
    """Each record that comes after our patience has its answer, whatever else waits; what had
    happened meanwhile is in the log once the database is back, and what had not is not."""
    with begin(starter, patience=1.0) as log:
        log.append(intent(0))
        database = starter.folder / "log.db"
        database.rename(database.with_suffix(".away"))
        with pytest.raises(LogUnavailable):
            log.append(intent(1))
        for n in range(2, 6):
            refused = [log.submit(one) for one in (some(n), intent(n), some(10 + n))]
            for future in refused:
                with pytest.raises(LogUnavailable):
                    future.result(timeout=10)
        database.with_suffix(".away").rename(database)
        wait_until(lambda: any(r.get("request") == "r15" for r in stored(starter)))
        log.append(intent(20))
    there = [r["request"] for r in stored(starter) if "request" in r]
    assert sorted(there) == sorted(["i0", "i20", *(f"r{n}" for n in (2, 3, 4, 5, 12, 13, 14, 15))])
    assert verify(starter.folder).ok


def test_a_heartbeat_shows_that_a_silent_source_lives(starter: Starter) -> None:
    """A source that says nothing for longer than its heartbeat was not there."""
    with begin(starter, heartbeat=0.1) as log:
        wait_until(lambda: [r["type"] for r in stored(starter)].count("log.heartbeat") >= 2)
    beats = [r for r in stored(starter) if r["type"] == "log.heartbeat"]
    assert {r["source"] for r in beats} == {log.source}


def test_a_clock_that_jumps_changes_times_and_nothing_else(starter: Starter) -> None:
    """Order is the index; a clock that was set back by years does not stop the log."""
    times = iter([1.8e9, 1.2e9, 4.0e9, 0.0, 1.7e9, 1.7e9, 1.7e9, 1.7e9])
    with begin(starter, clock=lambda: next(times)) as log:
        at = [log.append(some(i)).index for i in range(4)]
    assert at == sorted(at)
    assert verify(starter.folder).ok


def test_a_storage_that_is_shorter_than_was_signed_is_not_served(starter: Starter) -> None:
    """The sequencer compares before it listens, and says why it does not."""
    with begin(starter) as log:
        for i in range(5):
            log.append(some(i))
    os.kill(pid_of(starter), signal.SIGTERM)
    wait_until(lambda: not starter.answers())
    with sqlite3.connect(starter.folder / "log.db") as db:
        db.execute("DELETE FROM record WHERE idx > 3")
    db.close()
    with pytest.raises(LogTampered, match="were signed"):
        begin(starter)


def test_another_key_is_refused(starter: Starter) -> None:
    """A log is continued with the key that signed it."""
    with begin(starter):
        pass
    os.kill(pid_of(starter), signal.SIGTERM)
    wait_until(lambda: not starter.answers())
    starter.key_file.write_bytes(bytes(32))
    with pytest.raises(ConfigError, match="key"):
        begin(starter)


def test_a_client_cannot_make_the_sequencer_log_what_the_schema_does_not_list(
    starter: Starter,
) -> None:
    """The sequencer trusts no client: text, another's name, or a number out of turn end the
    connection, and nothing is appended."""
    with begin(starter) as log:
        before = log.append(some()).index
        fields = {"protocol": wire.protocol(), "source": "forger-1", "oldest": 0, "new": True}
        template = record.encode(some(), time=1.0, source="forger-1", seq=0)
        forged = {
            "text": template.replace(b'"status":200', b'"note":"Maria K","status":200'),
            "another's": record.encode(some(), time=1.0, source=log.source, seq=0),
            "a number": record.encode(some(), time=1.0, source="forger-1", seq=5),
            "not canonical": template.replace(b'"v":1', b'"v": 1'),
            "no time": template.replace(b'"time":"1970', b'"time":"Maria'),
            "no record": b"[" * 5000,
        }
        for data in forged.values():
            with connect(starter.folder) as sock:
                sock.sendall(wire.json_frame(wire.HELLO, **fields))
                sock.sendall(wire.frame(wire.RECORD, data))
                said = _all_of(sock)
            assert said[-1][0] == wire.ERROR
            assert b"Maria" not in said[-1][1]
        for junk in (b"\xff" * 64, wire.frame(b"?"), wire.frame(wire.HELLO, b"{}")):
            with connect(starter.folder) as sock:
                sock.sendall(junk)
                assert _all_of(sock)[-1][0] == wire.ERROR
        assert log.append(some()).index == before + 1
        with pytest.raises(RecordRejected):
            log.append({"type": "request.result", "text": "Maria K"})


def _all_of(sock: socket.socket) -> list[tuple[bytes, bytes]]:
    sock.settimeout(5)
    buffer = bytearray()
    while data := sock.recv(4096):
        buffer += data
    return list(wire.frames(buffer))


def test_a_log_that_is_written_directly_and_by_its_sequencer_is_one_log(starter: Starter) -> None:
    """A tool that opened the log before there was a sequencer goes on beside it."""
    direct = Log.open(starter.folder, key=KEY, origin=ORIGIN, source="tool")
    with direct, begin(starter) as log:
        for i in range(20):
            direct.append(some(2 * i))
            log.append(some(2 * i + 1))
    assert [r["request"] for r in stored(starter) if "request" in r] == [f"r{i}" for i in range(40)]
    assert verify(starter.folder).ok


def test_a_result_waits_for_an_intent_and_an_intent_for_nobody(starter: Starter) -> None:
    """They share a transaction, so a lone caller's next request does not wait for the disk twice.
    A result alone is durable a moment later."""
    with begin(starter) as client:
        client.append(intent(0))
        began = time.monotonic()
        client.append(some())
        assert time.monotonic() - began >= 0.9 * LAG_SECONDS
        result = client.submit(some(1))
        at = client.append(intent(1)).index
        assert result.done()
        assert result.result().index == at - 1
