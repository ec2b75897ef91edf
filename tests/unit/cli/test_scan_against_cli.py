"""``sovereign scan --against-log`` over a real audit log: what it lists, and when it refuses."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from click.testing import CliRunner, Result
from logs import ORIGIN, SEED

from sovereign.audit import record
from sovereign.audit.log import Log
from sovereign.audit.note import Signer
from sovereign.cli.scan import scan_command
from sovereign.types import Action, Destination, Verdict

BEGUN = 1_763_000_000.0
VKEY = str(Signer.from_seed(ORIGIN, SEED).verifier)
TO = Destination("openai", "hosted")
SECRET = "512-47-3391"


def _log(folder: Path) -> list[str]:
    """An audit log of three requests, ten seconds apart; their ids."""
    now = [BEGUN]
    ids = [f"req_{n:028x}" for n in range(3)]
    with Log.open(folder, key=SEED, origin=ORIGIN, source="gw", clock=lambda: now[0]) as log:
        for request in ids:
            now[0] += 10
            intent = record.intent(
                request=request,
                team="t",
                key_id="k",
                endpoint="openai.chat",
                model="gpt-4o",
                destination=TO,
                verdict=Verdict(Action.ALLOW, TO, "a" * 64, (), {}),
                guard_build="b" * 64,
                body_sha256="c" * 64,
                bytes_out=1,
                stream=False,
            )
            log.append(intent)
            log.append(
                record.result(request=request, status=200, outcome="ok", bytes_in=1, duration_ms=1)
            )
        now[0] += 100
    return ids


def _proxy(file: Path, ids: list[str]) -> None:
    """What a proxy saw: two of the gateway's calls, and one of somebody who went around."""
    calls = [(BEGUN + 10, ids[0]), (BEGUN + 20, ""), (BEGUN + 60, "")]
    with file.open("w") as out:
        for time, request in calls:
            headers = {"x-request-id": request} if request else {"accept": "*/*"}
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]}
            url = "https://api.openai.com/v1/chat/completions"
            out.write(
                json.dumps({"time": f"{time:.0f}", "url": url, "headers": headers, "body": body})
                + "\n"
            )


def _scan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(scan_command, [str(a) for a in arguments])


def test_the_call_that_went_around_the_door_is_listed(tmp_path: Path) -> None:
    """Of three calls one carries an id, one was at the time of a request, and one is nobody's: it
    is said where it stands. The log is the auditor's copy: only its folder and key are there."""
    _proxy(tmp_path / "proxy.jsonl", _log(tmp_path / "audit"))
    log = ("--against-log", tmp_path / "audit", "--log-key", VKEY)
    run = _scan(tmp_path / "proxy.jsonl", *log, "--out", tmp_path / "out", "--json")
    assert run.exit_code == 1, run.output
    told = json.loads(run.stdout)
    assert (told["by_request"], told["by_time"], told["around"], told["unseen"]) == (1, 1, 1, 1)
    (row,) = map(json.loads, (tmp_path / "out" / "around.jsonl").read_text().splitlines())
    assert (row["number"], row["host"], row["judged"]) == (3, "api.openai.com", True)
    left = run.output + "".join(p.read_text() for p in (tmp_path / "out").iterdir())
    assert SECRET not in left


def test_when_all_came_through_the_door_the_exit_status_says_so(tmp_path: Path) -> None:
    """Nothing around, nothing unjudged, nothing unread: 0."""
    _proxy(tmp_path / "proxy.jsonl", _log(tmp_path / "audit"))
    lines = (tmp_path / "proxy.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "proxy.jsonl").write_text("".join(lines[:2]))
    log = ("--against-log", tmp_path / "audit", "--log-key", VKEY)
    run = _scan(tmp_path / "proxy.jsonl", *log, "--out", tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "around the door: 0" in run.output
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    run = _scan(tmp_path / "proxy.jsonl", tmp_path / "noise.bin", *log, "--out", tmp_path / "out")
    assert run.exit_code == 1
    assert "noise.bin" in run.output


def test_nothing_is_held_against_a_log_that_is_not_whole(tmp_path: Path) -> None:
    """A record that was taken out would make an honest call look like one around the door, and a
    record that was put in the other way round: then nothing is said."""
    _proxy(tmp_path / "proxy.jsonl", _log(tmp_path / "audit"))
    with sqlite3.connect(tmp_path / "audit" / "log.db") as db:
        db.execute("DELETE FROM record WHERE idx = 3")
    log = ("--against-log", tmp_path / "audit", "--log-key", VKEY)
    run = _scan(tmp_path / "proxy.jsonl", *log, "--out", tmp_path / "out")
    assert run.exit_code == 1
    assert "nothing is held against a log that is not whole" in str(run.exception)
    assert not (tmp_path / "out" / "around.jsonl").exists()
