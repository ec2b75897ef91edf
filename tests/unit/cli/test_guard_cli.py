"""``sovereign guard`` works for a newcomer without a configuration, and shows no value unasked."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign.cli.guard import guard_command
from sovereign.errors import ConfigError

TEXT = "Mail maria.keller@northvale.org, MRN 00482913 on 2024-05-06"


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(guard_command, [*args, "--ner", "none"], input=stdin)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_inspect_shows_the_verdict_and_what_would_leave_but_no_value() -> None:
    """Values stay on the machine, and off the screen that is shared."""
    done = run("inspect", "--policy", "hipaa", TEXT)
    assert done.exit_code == 0
    assert "pseudonymize" in done.output
    assert "EMAIL_ADDRESS" in done.output
    assert "keller" not in done.output
    assert "00482913" not in done.output
    assert "keller" in run("inspect", "--policy", "hipaa", "--reveal", TEXT).output


def test_inspect_writes_json_for_machines() -> None:
    """Offsets are of the text that was given."""
    report = json.loads(run("inspect", "--policy", "hipaa", "--json", "-", stdin=TEXT).output)
    mail = next(f for f in report["findings"] if f["entity"] == "EMAIL_ADDRESS")
    assert TEXT[mail["start"] : mail["end"]] == "maria.keller@northvale.org"
    assert "keller" not in json.dumps(report)


def test_explain_names_recogniser_view_score_and_fate(tmp_path: Path) -> None:
    """Also of what does not count, which is what people ask about."""
    strict = tmp_path / "strict.toml"
    strict.write_text(
        'name = "sure"\nextends = "direct"\n[threshold]\nMEDICAL_RECORD_NUMBER = 0.99\n'
    )
    out = run("explain", "--policy", str(strict), TEXT).output
    assert "rules:email_address (text): pseudonymize" in out
    assert "rules:date (text): allow" in out
    assert "below the threshold" in out


def test_bulk_writes_spans_per_line(tmp_path: Path) -> None:
    """The door for evaluation: half a surrogate pair and a split value included."""
    rows = [
        {"id": "a", "text": TEXT},
        {"id": "b", "msgs": ["first part is 512-47", "and the rest -3391"]},
        {"id": "c", "text": "\ud800 nothing \u2028 here"},
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = run("inspect", "--policy", "direct", "--jsonl", str(source), str(target))
    assert done.exit_code == 0, done.output
    a, b, c = map(json.loads, target.read_text().splitlines())
    assert [5, 31, "EMAIL_ADDRESS", 1.0, True] in a["spans"]
    assert any(s[2] == "DATE_TIME" and s[4] is False for s in a["spans"])
    assert [s[4] for s in b["spans"]] == [0, 1]
    assert c["spans"] == []


def test_bulk_reads_what_evaluate_reads(tmp_path: Path) -> None:
    """Packed lines, too; and what is no gzip is told in words."""
    source, target = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    source.write_bytes(gzip.compress(json.dumps({"id": "a", "text": TEXT}).encode()))
    assert run("inspect", "--policy", "direct", "--jsonl", str(source), str(target)).exit_code == 0
    assert [5, 31, "EMAIL_ADDRESS", 1.0, True] in json.loads(target.read_text())["spans"]
    source.write_text("no gzip")
    failed = run("inspect", "--policy", "direct", "--jsonl", str(source), str(target))
    assert isinstance(failed.exception, ConfigError)
    assert "in.jsonl.gz: no gzip" in failed.exception.message


def test_bulk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A broken line names file and line, and the old output stays."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "text": "a"}\n{"id": 2}\n')
    target.write_text("old")
    done = run("inspect", "--policy", "direct", "--jsonl", str(source), str(target))
    assert isinstance(done.exception, ConfigError)
    assert "line 2" in str(done.exception)
    assert target.read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}


def test_without_configuration_and_policy_the_error_lists_the_presets() -> None:
    """A newcomer's first command must say what the second is."""
    done = run("inspect", "hello")
    assert isinstance(done.exception, ConfigError)
    assert "hipaa" in done.exception.hint


@pytest.mark.parametrize("to", ["nowhere", "Hosted"])
def test_an_unknown_destination_names_the_known(to: str) -> None:
    """Typing errors must not pick another side."""
    done = run("inspect", "--policy", "hipaa", "--to", to, "x")
    assert isinstance(done.exception, ConfigError)
    assert "hosted, local" in done.exception.hint
