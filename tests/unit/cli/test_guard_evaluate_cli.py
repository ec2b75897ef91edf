"""``sovereign guard evaluate``: figures for people and machines; values only when asked."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign.cli.guard import guard_command
from sovereign.errors import ConfigError

TEXT = "Mail maria.keller@northvale.org or ask Bob Quux"
ROWS = [{"text": TEXT, "spans": [[5, 31, "EMAIL_ADDRESS"], [39, 47, "PERSON"]]}]


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "ours.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    return file


def run(*args: str) -> Result:
    return CliRunner().invoke(
        guard_command, ["evaluate", *args, "--policy", "direct", "--ner", "none"]
    )


def test_the_table_shows_figures_and_no_value(labelled: Path) -> None:
    """It is read aloud in meetings."""
    done = run(str(labelled))
    assert done.exit_code == 0, done.output
    assert "documents leaking" in done.output
    assert "EMAIL_ADDRESS" in done.output
    assert "Quux" not in done.output
    shown = run(str(labelled), "--show-missed").output
    assert "CONFIDENTIAL" in shown
    assert "Bob Quux" in shown


def test_json_names_what_was_measured(labelled: Path) -> None:
    """A figure without its policy and recognisers cannot be compared."""
    report = json.loads(run(str(labelled), "--json").output)
    assert report["policy"] == "direct"
    assert len(report["build"]) == len(report["digest"]) == 64
    assert report["entities"]["PERSON"]["percent"] == 0.0
    assert "confidential" not in report


def test_the_page_is_private_if_it_quotes(labelled: Path, tmp_path: Path) -> None:
    """Only its owner may read missed values."""
    page = tmp_path / "out.html"
    run(str(labelled), "--html", str(page))
    assert "Quux" not in page.read_text()
    run(str(labelled), "--html", str(page), "--show-missed")
    assert "Bob Quux" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_a_file_that_is_not_there_is_said_so(labelled: Path) -> None:
    """Before the recognisers load."""
    done = run("none.jsonl")
    assert isinstance(done.exception, ConfigError)
