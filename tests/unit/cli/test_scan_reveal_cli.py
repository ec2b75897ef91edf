"""``sovereign scan --reveal``: what stands around a finding, and never before that is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign.audit.reader import read
from sovereign.cli.scan import scan_command
from sovereign.cli.setup import init_command
from sovereign.config import load_config
from sovereign.errors import SovereignError

SSN, OTHER = "512-47-3391", "513-48-2204"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configured folder with a log to scan."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(init_command, ["--preset", "direct"]).exit_code == 0
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.txt").write_text(
        f"It was said that her SSN is {SSN}, and his SSN is {OTHER}, as before.\n"
    )
    return tmp_path


def _scan(*arguments: str) -> Result:
    return CliRunner().invoke(scan_command, ["logs", *arguments])


def test_the_words_around_are_shown_masked_and_that_is_recorded(house: Path) -> None:
    """Of one token only that one; no value is shown, the neighbour's neither."""
    assert _scan().exit_code == 1
    rows = [json.loads(r) for r in (house / "scan" / "findings.jsonl").read_text().splitlines()]
    found = [row for row in rows if row["entity"] == "US_SSN"]
    run = _scan("--reveal", found[0]["token"])
    assert run.exit_code == 0, run.output
    assert "said that her SSN is [US_SSN], and his SSN is [US_SSN], as be" in run.stdout
    assert run.stdout.count("\n") == 1
    assert SSN not in run.output
    assert OTHER not in run.output
    (record,) = [
        s.record for s in read(house / ".sovereign" / "audit", last=20, kind="scan.reveal")
    ]
    assert record is not None
    assert (record["token"], record["findings"]) == (found[0]["token"], 1)


def test_nothing_is_shown_if_the_log_refuses(house: Path) -> None:
    """A folder that cannot be written, or no configuration at all: no record, no words."""
    assert _scan().exit_code == 1
    run = _scan("--reveal", "all", "--config", "none.toml", "--policy", "direct")
    assert run.exit_code == 1
    loaded = load_config(house / "sovereign.toml")
    loaded.resolve(loaded.audit.key_file).unlink()
    run = _scan("--reveal", "all")
    assert run.exit_code == 1
    assert isinstance(run.exception, SovereignError)
    assert "SSN" not in run.stdout


def test_what_changed_is_not_shown_for_what_was_found(house: Path) -> None:
    """Another value at the same place is another finding."""
    assert _scan().exit_code == 1
    text = (house / "logs" / "a.txt").read_text()
    (house / "logs" / "a.txt").write_text(text.replace(SSN, "514-49-1123"))
    run = _scan("--reveal", "US_SSN")
    assert run.exit_code == 1
    assert "1 findings do not stand any more" in str(run.exception)
