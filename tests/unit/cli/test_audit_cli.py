"""`sovereign audit` as an auditor types it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign import cli
from sovereign.audit import record
from sovereign.audit.log import open_log
from sovereign.cli.audit import audit_command
from sovereign.config import load_config
from sovereign.errors import AuditError, LogTampered
from sovereign.types import Action, Destination, Verdict


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, a key and a log of one request."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "sovereign.toml").write_text('[policy]\npreset = "hipaa"\n')
    key = tmp_path / ".sovereign" / "audit.key"
    key.parent.mkdir()
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    verdict = Verdict(
        Action.PSEUDONYMIZE,
        Destination("openai", "hosted"),
        "a" * 64,
        (),
        {"PERSON": {"pseudonymize": 2}},
    )
    with open_log(load_config(), "gateway") as log:
        log.append(
            record.intent(
                request="req_1",
                team="oncology",
                key_id="k_1",
                endpoint="openai.chat",
                model="gpt-5",
                destination=verdict.destination,
                verdict=verdict,
                guard_build="b" * 64,
                body_sha256="c" * 64,
                bytes_out=9,
                stream=False,
            )
        )
        log.append(
            record.result(request="req_1", status=200, outcome="ok", bytes_in=5, duration_ms=2)
        )
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(audit_command, args)


def tamper(house: Path) -> None:
    with sqlite3.connect(house / ".sovereign/audit/log.db") as db:
        db.execute("UPDATE record SET bytes = replace(bytes, 'oncology', 'oncologi') WHERE idx = 1")
    db.close()


def test_its_help_is_the_line_in_the_list_of_commands() -> None:
    """`sovereign --help` imports no command, so the line stands twice."""
    assert audit_command.get_short_help_str(200) == cli.COMMANDS["audit"][1]


def test_verify_says_that_the_log_is_whole(house: Path) -> None:
    """By configuration, by folder alone, and for machines."""
    said = run("verify")
    assert said.exit_code == 0, said.output
    assert "4 records from 1 source," in said.output
    assert "key from [audit].key_file" in said.output
    assert "ok: the log is what was signed" in said.output
    assert run("verify", "--path", ".sovereign/audit").exit_code == 0
    report = json.loads(run("verify", "--json").stdout)
    assert report["ok"]
    assert report["size"] == 4


def test_verify_names_the_record_on_one_line_with_a_hint(house: Path) -> None:
    """As a user sees it: exit status 1, `error: record 1: …`, `hint: …`."""
    tamper(house)
    with pytest.raises(LogTampered) as caught:
        CliRunner().invoke(audit_command, ["verify"], catch_exceptions=False)
    assert caught.value.index == 1
    done = subprocess.run(
        [sys.executable, "-c", "from sovereign.cli import main; main()", "audit", "verify"],
        capture_output=True, text=True, check=False, cwd=house,
    )  # fmt: skip
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: record 1: its bytes were changed")
    assert lines[1].startswith("hint: ")
    assert json.loads(run("verify", "--json").stdout)["problems"][0]["record"] == 1


def test_a_folder_that_cannot_be_read_is_told_as_that(house: Path) -> None:
    """It was said that the gateway begins a log."""
    said = run("verify", "--path", "x" * 300).exception
    assert isinstance(said, AuditError)
    assert said.message.endswith(": File name too long")
    assert "the user who owns the log" in said.hint


def test_verify_writes_nothing(house: Path) -> None:
    """An auditor's copy may be read-only, and is evidence."""
    before = (house / ".sovereign/audit/log.db").read_bytes()
    run("verify")
    assert (house / ".sovereign/audit/log.db").read_bytes() == before
    assert json.loads(run("verify", "--json").stdout)["size"] == 4


def test_verify_takes_the_key_of_the_configuration_over_log_pub(house: Path) -> None:
    """log.pub lies where a forger can reach it."""
    pub = house / ".sovereign/audit/log.pub"
    pub.write_text("x" + pub.read_text())
    assert isinstance(run("verify").exception, LogTampered)


def test_verify_holds_the_log_to_a_key_and_checkpoint_kept_elsewhere(house: Path) -> None:
    """That is what shows a log that was rewritten by somebody who has its key."""
    shutil.copy(house / ".sovereign/audit/checkpoint", house / "kept")
    vkey = run("key").output.strip()
    assert vkey.startswith("sovereign.local/audit+")
    assert run("key", "--path", ".sovereign/audit").output.strip() == vkey
    args = ["verify", "--path", ".sovereign/audit", "--key", vkey, "--checkpoint", "kept"]
    assert run(*args).exit_code == 0
    shutil.rmtree(house / ".sovereign/audit")
    with open_log(load_config(), "forger") as log:
        for _ in range(9):
            log.append(record.event("log.read", command="show"))
    assert run("verify").exit_code == 0
    assert isinstance(run(*args).exception, LogTampered)


def test_show_is_a_table_of_what_happened(house: Path) -> None:
    """Number, time, type, team, model, destination, verdict, entities."""
    said = run("show").output
    row = next(line for line in said.splitlines() if "intent" in line)
    for cell in ("req_1", "oncology", "gpt-5 → openai", "pseudonymize", "PERSON ×2"):
        assert cell in row
    assert "ok 200" in said


def test_a_narrow_terminal_cuts_no_number(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At eighty columns record 112 was shown as 11, another record's number."""
    shown = json.loads(run("show", "--type", "request.intent", "--json").output)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "40")
    said = run("show", "--type", "request.intent").output
    for cell in (shown["record"]["time"][5:19].replace("T", " "), "intent", "req_1"):
        assert cell in said


def test_heartbeats_hide_nothing_else(house: Path) -> None:
    """Two an idle minute: the last twenty records were nothing but them."""
    with open_log(load_config(), "gateway") as log:
        for _ in range(30):
            log.append(record.event("log.heartbeat"))
    assert "heartbeat" not in run("show").output
    assert "req_1" in run("show").output
    assert run("show", "--type", "log.heartbeat", "-n", "30").output.count("log.heartbeat") == 30
    assert "log.heartbeat" in run("show", "--json").output


def test_show_claims_no_change_of_what_was_kept_whole(house: Path) -> None:
    """A record number kept the request inside; the name beside it went there as it was."""
    found = {"MEDICAL_RECORD_NUMBER": {"local": 1}, "PERSON": {"pseudonymize": 2}}
    inside = Destination("clinic", "local")
    verdict = Verdict(Action.LOCAL, inside, "a" * 64, (), found)
    request = {"request": "req_2", "team": "t", "key_id": "k_1", "endpoint": "openai.chat"}
    sent = {"guard_build": "b" * 64, "body_sha256": "c" * 64, "bytes_out": 9, "stream": False}
    with open_log(load_config(), "gateway") as log:
        log.append(
            record.intent(
                **request, model="m", destination=inside, verdict=verdict, **sent, rerouted=True
            )
        )
    said = run("show", "--request", "req_2").output
    assert "MEDICAL_RECORD_NUMBER ×1 local" in said
    assert "PERSON ×2" in said
    assert "pseudonymize" not in said


def test_show_filters_by_type_and_request_and_speaks_json(house: Path) -> None:
    """One object per line."""
    only = [
        json.loads(x)
        for x in run("show", "--type", "request.result", "--json").output.split("\n")
        if x
    ]
    assert [(o["index"], o["record"]["outcome"]) for o in only] == [(2, "ok")]
    both = run("show", "--request", "req_1", "--json").output.splitlines()
    assert [json.loads(x)["index"] for x in both] == [1, 2]
    assert len(run("show", "-n", "1", "--json").output.splitlines()) == 1
    assert "no such record" in run("show", "--request", "req_of_nobody").output
    assert run("show", "--type", "nonsense").exit_code == 2
    assert run("show", "--request", "Grace Hopper").exit_code == 2


def test_looking_is_recorded_where_the_log_is_writable_and_only_there(house: Path) -> None:
    """Reads of the log are events too; a copy is only read."""
    run("show", "--request", "req_1")
    reads = run("show", "--path", ".sovereign/audit", "--type", "log.read", "--json").output
    made = [json.loads(line)["record"] for line in reads.splitlines()]
    assert [(r["command"], r["by_request"]) for r in made] == [("show", "req_1")]
    (house / ".sovereign/audit.key").unlink()
    said = run("show")
    assert said.exit_code == 0
    assert "this reading is not recorded" in said.output


def test_taking_a_proof_and_publishing_are_recorded_but_not_of_a_copy(house: Path) -> None:
    """Whoever hands records out has read them. An auditor's copy has no key, and is only read."""
    copy = ["--path", ".sovereign/audit"]
    for args in (["prove", "1"], ["publish", "out"]):
        assert run(*args, *copy).exit_code == 0
    assert run("show", *copy, "--type", "log.read").stdout == ""
    for args in (["prove", "1"], ["publish", "out"]):
        done = run(*args)
        assert done.exit_code == 0, done.output
        assert "not recorded" not in done.output
    shown = run("show", *copy, "--type", "log.read", "--json").output.splitlines()
    assert [json.loads(line)["record"]["command"] for line in shown] == ["prove", "publish"]
    (house / ".sovereign/audit.key").unlink()
    said = run("prove", "1")
    assert said.exit_code == 0, said.output
    assert "this reading is not recorded" in said.output


def test_show_does_not_show_what_is_no_record(house: Path) -> None:
    """Whoever changed a record could have put anything there, also for the reader's terminal."""
    forged = b'{"type":"log.close","text":"\\u001b[2Jpwned"}'
    with sqlite3.connect(house / ".sovereign/audit/log.db") as db:
        db.execute("UPDATE record SET bytes = ? WHERE idx = 2", (forged,))
    db.close()
    said = run("show", "--path", ".sovereign/audit").output
    assert "pwned" not in said
    assert "not a record" in said


def test_without_a_log_it_says_what_would_begin_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it does not begin one by looking."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sovereign.toml").write_text('[policy]\npreset = "hipaa"\n')
    for command in ("verify", "show"):
        failed = run(command).exception
        assert isinstance(failed, AuditError)
        assert failed.hint
    assert isinstance(run("key", "--path", ".").exception, AuditError)
    assert not (tmp_path / ".sovereign").exists()


def test_follow_goes_on_with_what_is_appended(house: Path) -> None:
    """Until it is interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from sovereign.cli import main; main()",
         "audit", "show", "--follow", "--json", "--path", ".sovereign/audit"],
        stdout=subprocess.PIPE, text=True, cwd=house,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert [json.loads(process.stdout.readline())["index"] for _ in range(4)] == [0, 1, 2, 3]
        with open_log(load_config(), "other") as log:
            log.append(record.event("log.read", command="x"))
        deadline = time.monotonic() + 10
        assert json.loads(process.stdout.readline())["index"] == 4
        assert time.monotonic() < deadline
    finally:
        process.kill()
        process.communicate()


def test_serve_runs_the_sequencer_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Under a supervisor: it says when it serves, others find it, and SIGTERM ends it with a last
    checkpoint."""
    import os
    import signal
    import subprocess
    import sys

    from sovereign.audit.verify import verify

    (tmp_path / "audit.key").write_bytes(os.urandom(32))
    (tmp_path / "audit.key").chmod(0o600)
    file = tmp_path / "sovereign.toml"
    file.write_text('[policy]\npreset = "hipaa"\n[audit]\npath = "log"\nkey_file = "audit.key"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "sovereign", "audit", "serve", "--config", str(file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("serving ")
    with open_log(load_config(file), "tool") as log:
        assert type(log).__name__ == "Client"
        log.append(record.event("log.read", command="test"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    report = verify(tmp_path / "log")
    assert report.ok
    assert (report.covered, report.sources_open) == (report.size, 0)
