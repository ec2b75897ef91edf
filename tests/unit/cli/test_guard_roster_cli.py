"""``sovereign guard roster build``: an index, a count of what was left out, and no value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign.cli.guard import guard_command
from sovereign.errors import ConfigError

TABLE = "name,mrn\nMaria Keller,00482913\nCher,12\n"


def run(*args: str) -> Result:
    return CliRunner().invoke(guard_command, ["roster", "build", "t.csv", *args])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "k").write_bytes(b"k" * 32)
    return tmp_path


def test_build_writes_the_index_and_says_what_it_left_out(folder: Path) -> None:
    """So that a column of single names does not look covered."""
    done = run("--columns", "name,mrn", "--out", "r.idx", "--key-file", "k")
    assert done.exit_code == 0, done.output
    assert "name: 1 values left out" in done.output
    assert "Keller" not in done.output
    made = run("--columns", "name,mrn", "--out", "r.idx", "--key-file", "k", "--json")
    report = json.loads(made.output)
    assert report["rows"] == 2
    assert report["bytes"] == (folder / "r.idx").stat().st_size


def test_the_configured_guard_finds_the_roster(folder: Path) -> None:
    """With the key that `sovereign init` made, from build to inspect."""
    (folder / "sovereign.toml").write_text(
        '[policy]\npreset = "direct"\n[guard]\nner = "none"\nkey_file = "k"\nroster = ["r.idx"]\n'
        '[upstream.x]\nside = "hosted"\nbase_url = "https://x.invalid"\nmodels = ["m"]\n'
    )
    assert run("--columns", "name,mrn", "--out", "r.idx").exit_code == 0
    args = ["inspect", "--json", "ask keller, maria about 00482913"]
    report = json.loads(CliRunner().invoke(guard_command, args).output)
    assert {f["recognizer"] for f in report["findings"]} == {"roster:r"}
    assert {f["entity"] for f in report["findings"]} == {"PERSON", "MEDICAL_RECORD_NUMBER"}


def test_without_a_key_the_error_says_where_it_comes_from() -> None:
    """The guard needs the same one."""
    done = run("--columns", "name", "--out", "r.idx")
    assert isinstance(done.exception, ConfigError)
    assert "sovereign init" in done.exception.hint
    done = run("--columns", "name", "--out", "r.idx", "--key-file", "staff.key")
    assert isinstance(done.exception, ConfigError)
    assert "/dev/urandom > staff.key" in done.exception.hint
