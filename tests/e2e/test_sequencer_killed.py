"""`kill -9` of the sequencer and of its clients, under load, again and again."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from sovereign.audit.verify import verify

WORKER = Path(__file__).with_name("sequencer_worker.py")
KILLS = int(os.environ.get("SOVEREIGN_KILLS", "24"))
"""200 is what was measured (`SOVEREIGN_KILLS=200`); a run of all tests takes fewer."""

WORKERS, THREADS = 3, 4


class Worker:
    """A client process. What it says goes to a file, so that it never waits for a reader."""

    def __init__(self, folder: Path, number: int) -> None:
        self.said = folder / f"said-{number}"
        key = folder / "key"
        command = [sys.executable, str(WORKER), str(folder / "log"), str(key), f"w{number}"]
        with self.said.open("wb") as out, (folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [*command, str(THREADS)], stdin=subprocess.PIPE, stdout=out, stderr=errors
            )

    def acknowledged(self) -> dict[str, int]:
        lines = self.said.read_text().split("\n")[:-1]
        return {name: int(i) for name, i in (line.split() for line in lines if " " in line)}

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        self.process.communicate(b"stop\n", timeout=60)
        return self.process.returncode


def sequencer_of(log: Path) -> int | None:
    try:
        return int((log / "sequencer.lock").read_text())
    except (OSError, ValueError):
        return None


def wait_for_load(workers: list[Worker], more: int) -> None:
    """Until so many more were acknowledged: a machine that is busy takes its time."""
    before, until = sum(len(w.acknowledged()) for w in workers), time.monotonic() + 60
    while sum(len(w.acknowledged()) for w in workers) < before + more:
        assert time.monotonic() < until, "nothing is acknowledged any more"
        time.sleep(0.02)


def stored(log: Path) -> list[dict[str, object]]:
    with sqlite3.connect(log / "log.db") as db:
        rows = db.execute("SELECT bytes FROM record ORDER BY idx").fetchall()
    db.close()
    return [json.loads(row[0]) for row in rows]


def test_no_acknowledged_record_is_lost_and_none_is_there_twice(tmp_path: Path) -> None:
    """Three processes append without pause; the sequencer, or one of them, is killed at a random
    moment, some while they open. Each time the log verifies. In the end each acknowledged record is
    at its index, each record once, and what was under way was taken up by the next sequencer."""
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    log, chance = tmp_path / "log", random.Random()
    workers = [Worker(tmp_path, n) for n in range(WORKERS)]
    everyone, kills = list(workers), Counter[str]()
    while sum(kills.values()) < KILLS:
        if chance.random() < 0.75:  # otherwise somebody is perhaps still opening it
            wait_for_load(everyone, 15)
        time.sleep(chance.uniform(0.02, 0.25))
        if chance.random() < 0.7:
            pid = sequencer_of(log)
            if pid is None:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it was killed a moment ago, and the next one is not there yet
            kills["sequencer"] += 1
        else:
            turn = chance.randrange(WORKERS)
            workers[turn].kill()
            workers[turn] = Worker(tmp_path, len(everyone))
            everyone.append(workers[turn])
            kills["client"] += 1
        if (log / "log.pub").exists():
            report = verify(log)
            assert report.ok or report.size == 0, [str(p) for p in report.problems]
    errors = (tmp_path / "stderr").read_text()
    assert [worker.stop() for worker in workers] == [0] * WORKERS, errors
    assert "Traceback" not in errors
    time.sleep(0.1)
    report = verify(log)
    assert report.ok, [str(p) for p in report.problems]
    assert report.declared_lost == 0
    records = stored(log)
    promised = {name: at for worker in everyone for name, at in worker.acknowledged().items()}
    assert len(promised) > 10 * KILLS, "there was load"
    there = {record.get("request"): index for index, record in enumerate(records)}
    assert {name: there.get(name) for name in promised} == promised
    requests = Counter(r["request"] for r in records if "request" in r)
    assert max(requests.values()) == 1
    numbers = Counter((r["source"], r["seq"]) for r in records)
    assert max(numbers.values()) == 1
    restarts = [r for r in records if r["type"] == "log.restart"]
    assert kills["sequencer"] > 5
    assert sum(int(str(r["resent"])) for r in restarts) > 0
    print(f"{kills} {len(promised)} acknowledged, {len(records)} stored")
