"""Real processes: killed at random moments, appending at once, and out of disk."""

from __future__ import annotations

import itertools
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sovereign.audit.log import Log
from sovereign.audit.verify import verify

WORKER = Path(__file__).with_name("audit_worker.py")
KEY = bytes(range(32))
ORIGIN = "log.example/a"
KILLS = 18


def worker(folder: Path, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(WORKER), str(folder), *map(str, args)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def requests(folder: Path) -> dict[str, int]:
    """Request id to index, of everything that is in the log."""
    with sqlite3.connect(folder / "log.db") as db:
        rows = db.execute("SELECT idx, bytes FROM record").fetchall()
    db.close()
    made = {json.loads(data).get("request"): index for index, data in rows}
    made.pop(None, None)
    return made


def acknowledged(output: str) -> dict[str, int]:
    pairs = [line.split() for line in output.splitlines() if " " in line]
    return {name: int(index) for name, index in pairs}


def test_kill_9_at_random_moments_loses_no_acknowledged_record(tmp_path: Path) -> None:
    """Eighteen processes append from eight threads each and are killed at a random moment, some
    while they open. Everything that was acknowledged is there, at the index that was promised, the
    log verifies each time, and the next process goes on from it."""
    random.seed()
    folder, promised = tmp_path / "log", {}
    in_flight = 0
    for round_ in range(KILLS):
        process = worker(folder, f"w{round_}", 8, 100_000)
        assert process.stdout is not None
        if round_ % 6:
            assert process.stdout.readline() == "open\n"
            time.sleep(random.uniform(0, 0.15))
        else:
            time.sleep(random.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, errors
        new = acknowledged(output)
        in_flight += bool(new)
        promised.update(new)
        if not (folder / "log.pub").exists():
            continue  # killed before there was a log
        report = verify(folder)
        assert report.ok, [str(p) for p in report.problems]
        there = requests(folder)
        assert {name: there.get(name) for name in promised} == promised
    assert in_flight >= 8
    assert len(promised) > 100
    with Log.open(folder, key=KEY, origin=ORIGIN, source="last"):
        pass
    final = verify(folder)
    assert final.ok
    assert final.covered == final.size
    assert final.sources_open >= in_flight


def test_two_processes_append_at_once_into_one_valid_log(tmp_path: Path) -> None:
    """A gateway and a tuning run share a log: no lock is held, no record lost, one order."""
    processes = [worker(tmp_path, source, 4, 150, "wait") for source in ("gateway", "tune")]
    for process in processes:  # both have opened the log before either appends
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [p.communicate(timeout=60) for p in processes]
    assert [p.returncode for p in processes] == [0, 0], [errors for _, errors in outputs]
    promised = acknowledged(outputs[0][0]) | acknowledged(outputs[1][0])
    assert len(promised) == 2 * 4 * 150
    assert requests(tmp_path) == promised
    report = verify(tmp_path)
    assert report.ok, [str(p) for p in report.problems]
    assert (report.size, report.sources, report.sources_open) == (1_204, 2, 0)
    in_order = sorted(promised, key=lambda name: promised[name])
    sources = [name.split("-")[0] for name in in_order]
    changes = sum(a != b for a, b in itertools.pairwise(sources))
    assert changes > 10, "they did not run at once, so nothing was shown"


@pytest.mark.parametrize("key", ["", "key"], ids=["direct", "sequencer"])
def test_a_full_disk_refuses_and_goes_on_once_there_is_room(tmp_path: Path, key: str) -> None:
    """On a real full file system: a refusal instead of an acknowledgement, then work as before.

    It is a tmpfs of 1 MB in a namespace of the test's own.
    """
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace here; test_log.py shows the same with max_page_count")
    if key:
        key = str(tmp_path / key)
        Path(key).write_bytes(KEY)
        Path(key).chmod(0o600)
    small = tmp_path / "small"
    small.mkdir()
    script = f"""
set -e
mount -t tmpfs -o size=1m none {small}
dd if=/dev/zero of={small}/ballast bs=1k count=600 2>/dev/null
mkfifo {tmp_path}/go
(read -r x < {tmp_path}/go; rm {small}/ballast; echo) |
    {sys.executable} {WORKER} {small}/log w 1 100000 full {key}
{sys.executable} -m sovereign.audit.verify {small}/log
sleep {1 if key else 0}
cp -r {small}/log {tmp_path}/kept
"""
    process = subprocess.Popen(
        ["unshare", "-Urm", "bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line == "refused\n":
            (tmp_path / "go").write_text("go\n")
    errors = process.stderr.read() if process.stderr else ""
    assert process.wait(timeout=60) == 0, errors
    assert "refused" in lines
    promised = acknowledged("\n".join(x for x in lines if x.startswith(("w-", "again"))))
    again = promised.pop("again")
    assert again == len(promised) + 1 if not key else again > len(promised)
    assert "closed" in lines
    assert verify(tmp_path / "kept").ok
    there = requests(tmp_path / "kept")
    assert {name: there[name] for name in promised} == promised
    assert len(there) == len(promised) + 1
