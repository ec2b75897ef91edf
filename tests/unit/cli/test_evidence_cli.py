"""`sovereign audit prove` and the others, as an auditor and a witness type them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import logs
import pytest
from click.testing import CliRunner, Result

from sovereign.cli.audit import audit_command
from sovereign.errors import AuditError, LogTampered

KEY = str(logs.verifier())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of five records and nothing else: no configuration."""
    monkeypatch.chdir(tmp_path)
    logs.grow(tmp_path / "log", 3)
    return tmp_path / "log"


def audit(*args: str) -> Result:
    return CliRunner().invoke(audit_command, args)


def test_a_proof_is_written_and_checked_without_a_log(log: Path) -> None:
    """The command that wrote it says how to check it; the file alone is enough."""
    made = audit("prove", "2", "--path", "log")
    assert f"check-proof 2.tlog-proof --key {KEY}" in made.output
    shutil.rmtree(log)
    checked = audit("check-proof", "2.tlog-proof", "--key", KEY)
    assert checked.exit_code == 0, checked.output
    assert "ok: record 2 of example.org/log, under the checkpoint of 5 records" in checked.output
    said = json.loads(audit("check-proof", "2.tlog-proof", "--key", KEY, "--json").output)
    assert (said["index"], said["record"]["type"]) == (2, "log.read")
    other = audit("check-proof", "2.tlog-proof", "--key", str(logs.verifier(bytes(32))))
    assert isinstance(other.exception, LogTampered)


def test_a_record_past_the_last_checkpoint_is_said_to_have_no_proof(log: Path) -> None:
    """No file is written."""
    assert isinstance(audit("prove", "5", "--path", "log").exception, AuditError)
    assert not Path("5.tlog-proof").exists()


def test_consistency_with_a_checkpoint_kept_elsewhere(log: Path) -> None:
    """A longer log passes; the log rolled back behind what was kept does not."""
    shutil.copytree(log, "old")
    logs.grow(log, 4)
    made = audit("consistency", "old/checkpoint", "--path", "log", "--out", "grown")
    assert "ok: the log of 11 records begins with the 5 that were signed" in made.output
    checked = audit("check-consistency", "grown", "--old", "old/checkpoint", "--key", KEY)
    assert checked.exit_code == 0, checked.output
    back = audit("consistency", "log/checkpoint", "--path", "old")
    assert isinstance(back.exception, LogTampered)


def test_published_tiles_are_checked_and_a_fault_is_named(log: Path) -> None:
    """Also that they begin with an older checkpoint."""
    shutil.copy("log/checkpoint", "kept")
    logs.grow(log, 4)
    assert "11 records, 11 of them new" in audit("publish", "out", "--path", "log").output
    checked = audit("check-tiles", "out", "--key", KEY, "--checkpoint", "kept")
    assert checked.exit_code == 0, checked.output
    bundle = Path("out/tile/entries/000.p/11")
    bundle.write_bytes(bundle.read_bytes().replace(b"show", b"shoo"))
    none = audit("check-tiles", "nowhere", "--key", KEY)
    assert none.exit_code == 2, "a mistyped folder is no evidence of a forged log"
    wrong = audit("check-tiles", "out", "--key", KEY)
    assert isinstance(wrong.exception, LogTampered)
    assert str(wrong.exception).startswith("record 1:")


def test_a_witness_cosigns_published_files_and_refuses_a_roll_back(log: Path) -> None:
    """--once: no network between the log and the witness, only files."""
    watch = ["witness", "--state", "w", "--name", "witness.example", "--log", KEY]
    key = audit(*watch).output.strip()
    audit("publish", "out", "--path", "log")
    shutil.copytree("out", "older")
    first = audit(*watch, "--once", "out")
    assert first.output.startswith("— witness.example ")
    logs.grow(log, 4)
    audit("publish", "out", "--path", "log")
    assert audit(*watch, "--once", "out").exit_code == 0
    back = audit(*watch, "--once", "older")
    assert isinstance(back.exception, LogTampered)
    needs = audit("check-tiles", "out", "--key", KEY, "--witness", key)
    assert "not cosigned by witness.example" in str(needs.exception)
    with Path("older/checkpoint").open("a") as file:
        file.write(first.output)
    shown = audit("check-tiles", "older", "--key", KEY, "--witness", key)
    assert "cosigned by witness.example at 20" in shown.output


@pytest.mark.parametrize(
    "args",
    [
        ("--listen", "127.0.0.1:0"),
        ("--log", KEY, "--listen", "nowhere"),
        ("--log", KEY, "--listen", "h:99999"),
        ("--log", KEY, "--listen", "h:1", "--once", "."),
    ],
)
def test_a_witness_started_wrongly_says_so(log: Path, args: tuple[str, ...]) -> None:
    """Wrong usage, and nothing is listened on."""
    done = audit("witness", "--state", "w", "--name", "witness.example", *args)
    assert done.exit_code == 2
    assert audit("witness", "--state", "w", "--name", "two words").exit_code == 2
