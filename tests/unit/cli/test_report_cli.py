"""`sovereign audit report` and `export` as whoever answers an auditor types them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import click
import logs
import psycopg
import pytest
import traffic
from click.testing import CliRunner, Result

from sovereign.cli.audit import audit_command
from sovereign.errors import AuditError, ConfigError, LogTampered

KEY = str(logs.verifier())
JULY = ("--from", "2026-07-01", "--to", "2026-07-31")
CONFIG = f"""
[policy]
preset = "hipaa"
[audit]
origin = "{logs.ORIGIN}"
path = "log"
key_file = "audit.key"
rotate = "never"
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "log"
    traffic.grow(folder, days=2, per_day=8)
    return folder


@pytest.fixture
def house(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration, its key, and a log of two days."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(kept, tmp_path / "log")
    (tmp_path / "sovereign.toml").write_text(CONFIG)
    (tmp_path / "audit.key").write_bytes(logs.SEED)
    (tmp_path / "audit.key").chmod(0o600)
    return tmp_path


@pytest.fixture
def damaged(house: Path) -> Path:
    with sqlite3.connect(house / "log" / "log.db") as db:
        db.execute("UPDATE record SET bytes = replace(bytes, 'gateway', 'getaway') WHERE idx = 9")
    db.close()
    return house


def audit(*args: str) -> Result:
    return CliRunner().invoke(audit_command, args)


def report(*args: str, framework: str = "hipaa") -> Result:
    return audit("report", *JULY, "--framework", framework, *args)


def recorded(kind: str) -> list[dict[str, Any]]:
    lines = audit("show", "--type", kind, "--json").stdout.splitlines()
    return [json.loads(line)["record"] for line in lines]


def test_a_report_is_an_archive_and_is_itself_recorded(house: Path) -> None:
    """Before it is made, that somebody reads; after it, which file was made of what."""
    import hashlib

    done = report("--out", "e.zip", "--no-records", "--out", "e.json")
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile("e.zip") as zipped:
        names = set(zipped.namelist())
    assert {"report.html", "report.pdf", "report.json", "check.py", "verify.py"} <= names
    (said,) = recorded("log.report")
    assert said["sha256"] == hashlib.sha256(Path("e.zip").read_bytes()).hexdigest()
    assert (said["framework"], said["outcome"]) == ("hipaa", "ok")
    assert said["since"] == "2026-07-01T00:00:00.000Z"
    assert [r["command"] for r in recorded("log.read")].count("report") == 1
    made = json.loads(Path("e.json").read_text())
    assert made["totals"]["decisions"] > 10
    assert str(made["totals"]["refused"]) + " refused" in done.output


def test_the_ending_says_what_is_written(house: Path) -> None:
    """Each needs no more than it needs: a page needs no key to sign with."""
    (house / "audit.key").unlink()
    done = report("--out", "e.html", "--path", "log")
    assert done.exit_code == 0, done.output
    assert Path("e.html").read_text().startswith("<!doctype html>")
    assert Path("e.html").stat().st_mode & 0o777 == 0o600
    assert isinstance(report("--out", "e.docx").exception, SystemExit)
    assert not Path("e.docx").exists()


def test_a_log_that_fails_gives_a_red_report_and_a_status(damaged: Path) -> None:
    """The file is there, says so, and the command fails."""
    done = report("--out", "e.html", "--out", "e.json")
    assert isinstance(done.exception, LogTampered)
    assert "record 9" in str(done.exception)
    assert "Not verified: the log is not what was signed." in Path("e.html").read_text()
    assert json.loads(Path("e.json").read_text())["verification"]["ok"] is False


def test_a_checkpoint_from_elsewhere_is_held_against_the_log(house: Path, kept: Path) -> None:
    """Its log goes on: good. It is another log's: the report is red."""
    good = report("--out", "e.json", "--checkpoint", str(kept / "checkpoint"))
    assert good.exit_code == 0, good.output
    made = json.loads(Path("e.json").read_text())
    assert made["checkpoint"]["kept_elsewhere"] == 1
    logs.grow(house / "other", 200)
    bad = report("--out", "e.json", "--checkpoint", "other/checkpoint")
    assert isinstance(bad.exception, LogTampered)


def test_a_witness_that_was_named_must_have_cosigned(house: Path) -> None:
    """The report says who did; who did not is an error and a gap."""
    from sovereign.audit.cosign import Cosigner

    witness = Cosigner.from_seed("witness.example", b"w" * 32)
    asked = ("--path", "log", "--witness", str(witness.public), "--out", "e.json")
    missing = report(*asked)
    assert "not cosigned by witness.example" in str(missing.exception)
    assert any("has not cosigned" in gap for gap in json.loads(Path("e.json").read_text())["gaps"])
    note = Path("log/checkpoint").read_text()
    line = witness.cosign(note.partition("\n\n")[0] + "\n", seconds=1_783_000_000)
    Path("log/cosigned").write_text(note + line)
    done = report(*asked)
    assert done.exit_code == 0, done.exception
    made = json.loads(Path("e.json").read_text())
    assert made["checkpoint"]["cosigned"] == [
        {"witness": "witness.example", "seconds": 1_783_000_000}
    ]
    assert not any("rolled back" in gap for gap in made["gaps"])


def test_a_missing_or_wrong_key_is_said(house: Path, tmp_path: Path) -> None:
    """No archive is signed with nothing; a log is not believed under another key."""
    assert isinstance(report("--path", "log", "--out", "e.zip").exception, ConfigError)
    wrong = str(logs.verifier(bytes(32)))
    done = report("--path", "log", "--key", wrong, "--out", "e.html")
    assert isinstance(done.exception, LogTampered)
    (house / "audit.key").unlink()
    missing = report("--out", "e.zip")
    assert isinstance(missing.exception, ConfigError)
    assert "is not there" in str(missing.exception)
    assert not Path("e.zip").exists()


def test_a_key_of_the_reports_own_is_made_once(house: Path) -> None:
    """And used again."""
    own = ("--report-key", "own.key", "--report-name", "auditor.example")
    assert report("--path", "log", "--out", "a.zip", "--no-pdf", *own).exit_code == 0
    first = Path("own.key").read_bytes()
    assert Path("own.key").stat().st_mode & 0o777 == 0o600
    assert report("--path", "log", "--out", "b.zip", "--no-pdf", *own).exit_code == 0
    assert Path("own.key").read_bytes() == first
    with zipfile.ZipFile("b.zip") as zipped:
        assert b"signed by auditor.example+" in zipped.read("manifest")
    assert isinstance(report("--report-key", "own.key").exception, SystemExit)


def test_a_period_is_checked_before_anything_is_read(house: Path) -> None:
    """Backwards, or not a date: wrong usage, and nothing is recorded."""
    for since, until in (("2026-07-31", "2026-07-01"), ("July", "2026-07-01")):
        done = audit("report", "--from", since, "--to", until, "--framework", "pci")
        assert done.exit_code == 2
    assert recorded("log.report") == []


def test_a_period_without_records_is_a_report_with_a_note(house: Path) -> None:
    """Nothing is wrong with the log."""
    done = audit(
        "report", "--from", "2020-01-01", "--to", "2020-02-01", "--framework", "pci",
        "--out", "e.json", "--path", "log",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "note: the log has no record of this period" in done.stderr


def test_no_log_is_said(house: Path) -> None:
    """A report over nothing is not a report."""
    shutil.rmtree("log")
    assert isinstance(report("--out", "e.html").exception, AuditError)
    assert isinstance(audit("export", "--format", "cef").exception, AuditError)


@pytest.mark.parametrize("form", ["jsonl", "ocsf", "cef", "otel"])
def test_an_export_goes_to_stdout_and_is_recorded(house: Path, form: str) -> None:
    """Nothing but the records is on stdout; how many there were is said beside it."""
    done = audit("export", "--format", form, "--from", "2026-07-02", "--to", "2026-07-02")
    assert done.exit_code == 0, done.output
    (said,) = recorded("log.export")
    assert (said["format"], said["until"]) == (form, "2026-07-03T00:00:00.000Z")
    assert done.stderr.endswith("records written to stdout\n")
    if form != "otel":
        assert len(done.stdout.splitlines()) == int(done.stderr.split()[0]) > 10


def test_an_export_of_a_log_that_was_changed_leaves_no_file(damaged: Path) -> None:
    """What was there before stays."""
    Path("e.jsonl").write_text("before")
    done = audit("export", "--format", "jsonl", "--path", "log", "--out", "e.jsonl")
    assert isinstance(done.exception, LogTampered)
    assert Path("e.jsonl").read_text() == "before"
    assert not list(Path().glob(".e.jsonl*"))


def test_parquet_and_oscal_are_files_too(house: Path) -> None:
    """Parquet has no stdout; OSCAL is of a period and a framework that has a catalogue."""
    assert audit("export", "--format", "parquet").exit_code == 2
    done = audit("export", "--format", "parquet", "--path", "log", "--out", "e.parquet")
    assert done.exit_code == 0, done.output
    assert Path("e.parquet").read_bytes().startswith(b"PAR1")
    done = audit("export", "--format", "oscal", *JULY, "--path", "log")
    assert "assessment-results" in json.loads(done.stdout)
    assert audit("export", "--format", "oscal").exit_code == 2
    refused = audit("export", "--format", "oscal", *JULY, "--framework", "gdpr", "--path", "log")
    assert isinstance(refused.exception, ConfigError)


def test_a_push_goes_only_where_the_configuration_says(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an endpoint there is none; a named token that is missing is an error."""
    pushed: list[tuple[bytes, str, str | None]] = []
    monkeypatch.setattr("sovereign.audit.export.otel.push", lambda *a: pushed.append(a))
    assert isinstance(audit("export", "--format", "otel", "--push").exception, ConfigError)
    assert audit("export", "--format", "cef", "--push").exit_code == 2
    more = 'otlp_endpoint = "https://collector.example/v1/logs"\notlp_token_env = "COLLECTOR"\n'
    (house / "sovereign.toml").write_text(CONFIG + more)
    missing = audit("export", "--format", "otel", "--push")
    assert "COLLECTOR" in str(missing.exception)
    assert pushed == []
    monkeypatch.setenv("COLLECTOR", "t0ken")
    done = audit("export", "--format", "otel", "--push")
    assert done.exit_code == 0, done.output
    ((_, endpoint, token),) = pushed
    assert (endpoint, token) == ("https://collector.example/v1/logs", "t0ken")


def test_help_says_what_a_report_is() -> None:
    """And what it is not: nowhere a word of compliance."""
    said = audit("report", "--help").output
    assert isinstance(audit_command, click.Group)
    assert "python -I ARCHIVE.zip --key VKEY" in " ".join(said.split())
    assert "complian" not in said


def test_an_export_of_a_chain_that_lacks_a_log_leaves_no_file(house: Path) -> None:
    """A log that was taken out or cut to what an older checkpoint signed is not passed over."""
    for cheat in ("taken out", "cut"):
        chain = house / cheat
        traffic.grow_chain(chain)
        if cheat == "taken out":
            shutil.rmtree(chain / "logs" / "0003")
        else:
            (chain / "checkpoint").unlink()
            with sqlite3.connect(chain / "log.db") as db:
                (size,) = db.execute("SELECT min(size) FROM checkpoint").fetchone()
                db.execute("DELETE FROM record WHERE idx >= ?", (size,))
                db.execute("DELETE FROM checkpoint WHERE size > ?", (size,))
        done = audit("export", "--format", "jsonl", "--path", cheat, "--out", "e.jsonl")
        assert isinstance(done.exception, LogTampered), cheat
        assert not (house / "e.jsonl").exists()


def test_report_and_exports_go_over_rotations(house: Path) -> None:
    """A year has four quarters: one archive, one Parquet file, one OSCAL document."""
    import pyarrow.parquet as pq

    shutil.rmtree("log")
    traffic.grow_chain(house / "log")
    done = report("--out", "e.zip", "--no-pdf", "--out", "e.json", framework="nist-800-53")
    assert done.exit_code == 0, done.exception
    made = json.loads(Path("e.json").read_text())
    assert [part["log"] for part in made["parts"]] == [1, 2, 3, 4]
    with zipfile.ZipFile("e.zip") as zipped:
        assert {"logs/0004/checkpoint", "logs/0004/records.jsonl"} <= set(zipped.namelist())
    done = audit("export", "--format", "parquet", "--path", "log", "--out", "e.parquet")
    assert done.exit_code == 0, done.exception
    rows = pq.read_table("e.parquet", columns=["origin", "index"]).to_pylist()
    assert len({(row["origin"], row["index"]) for row in rows}) == len(rows)
    assert {row["origin"] for row in rows} == {
        logs.ORIGIN,
        *(f"{logs.ORIGIN}/{n}" for n in (2, 3, 4)),
    }
    assert int(done.stderr.split()[0]) == len(rows)
    done = audit("export", "--format", "oscal", *JULY, "--path", "log")
    assert done.exit_code == 0, done.exception
    results = json.loads(done.stdout)["assessment-results"]["results"][0]
    found = [
        e["description"] for o in results["observations"] for e in o.get("relevant-evidence", ())
    ]
    assert any(f"to 3/30 of {logs.ORIGIN}" in text for text in found), found
    kept = house / "log" / "logs" / "0002" / "checkpoint"
    done = report("--out", "k.zip", "--no-pdf", "--checkpoint", str(kept))
    assert done.exit_code == 0, done.exception
    with zipfile.ZipFile("k.zip") as zipped:
        assert any(name.startswith("logs/0002/kept/") for name in zipped.namelist())


def test_a_log_in_postgresql_is_reported_and_exported(house: Path, database: str) -> None:
    """From the copy that every reading command makes; recorded in the database."""
    shutil.rmtree("log")
    more = f'store = "{database}"\n'
    (house / "sovereign.toml").write_text(CONFIG + more)
    missing = report("--out", "e.html")
    assert isinstance(missing.exception, AuditError)
    from sovereign.audit.log import open_log
    from sovereign.audit.record import event
    from sovereign.config import load_config

    with open_log(load_config(house / "sovereign.toml"), "test") as log:
        log.append(event("log.read", command="show"))
    assert audit("rotate").exit_code == 0
    today = ("--from", "2026-01-01", "--to", "2099-01-01")
    done = audit("report", *today, "--framework", "hipaa", "--out", "e.zip", "--no-pdf")
    assert done.exit_code == 0, done.exception
    (said,) = recorded("log.report")
    assert said["outcome"] == "ok"
    with zipfile.ZipFile("e.zip") as zipped:
        made = json.loads(zipped.read("report.json"))
    assert [part["log"] for part in made["parts"]] == [1, 2]
    assert made["counts"]["events"]["log.read"] >= 2
    done = audit("export", "--format", "parquet", "--out", "e.parquet")
    assert done.exit_code == 0, done.exception
    assert len(recorded("log.export")) == 1
    with psycopg.connect(database) as db:  # after the mirror has a copy that was right
        db.execute("UPDATE sovereign_audit.record_1 SET bytes = 'x' WHERE idx = 1")
    done = audit("report", *today, "--framework", "hipaa", "--out", "e.html")
    assert isinstance(done.exception, LogTampered)
    assert "record 1" in str(done.exception)
    assert "Not verified" in Path("e.html").read_text()
