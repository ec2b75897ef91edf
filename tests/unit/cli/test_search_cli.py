"""`sovereign audit search` as who answers a regulator types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign.audit import record
from sovereign.audit.log import open_log
from sovereign.audit.tokens import read_token_key
from sovereign.cli.audit import audit_command
from sovereign.config import load_config
from sovereign.errors import AuditError, ConfigError
from sovereign.types import Action, Destination, Verdict

SSN = "123-45-6789"


def write(tokens: bool = True) -> None:
    config = load_config()
    key = read_token_key(config) if tokens else None
    to = Destination("openai", "hosted")
    verdict = Verdict(Action.MASK, to, "a" * 64, (), {"US_SSN": {"mask": 1}})
    with open_log(config, "gateway") as log:
        import time

        log.append(
            record.intent(
                request="req_1",
                team="oncology",
                key_id="k_1",
                endpoint="openai.chat",
                model="gpt-5",
                destination=to,
                verdict=verdict,
                guard_build="b" * 64,
                body_sha256="c" * 64,
                bytes_out=9,
                stream=False,
                tokens=key.tokens("oncology", [("US_SSN", SSN)], time.time()) if key else None,
            )
        )


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sovereign.toml").write_text('[policy]\npreset = "hipaa"\n')
    (tmp_path / ".sovereign").mkdir()
    for number, name in enumerate(("audit.key", "token.key")):
        key = tmp_path / ".sovereign" / name
        key.write_bytes(bytes(range(number, number + 32)))
        key.chmod(0o600)
    write()
    return tmp_path


def search(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(audit_command, ["search", *args], input=stdin)


def test_yes_names_the_record_and_that_somebody_asked_is_recorded(house: Path) -> None:
    """The record's number, where it went, how to prove it; and a log.search without the value."""
    done = search("--value", "123 45 6789", "--entity", "US_SSN")
    assert done.exit_code == 0, done.output
    assert "yes: 1 of 1 decisions was about it\n" in done.output
    assert "of these requests: 1 sent masked or pseudonymised\n" in done.output
    assert "gpt-5 → openai (hosted)  mask" in done.output
    shown = CliRunner().invoke(audit_command, ["show", "--type", "log.search", "--json"])
    asked = json.loads(shown.output.splitlines()[0])["record"]
    assert (asked["type"], asked["entity"]) == ("log.search", "US_SSN")
    for file in (house / ".sovereign" / "audit").iterdir():
        assert b"6789" not in file.read_bytes()


def test_no_says_over_what_it_was_said(house: Path) -> None:
    """How many decisions, and the root of the tree that was read."""
    done = search("--value", "-", "--json", stdin="999-99-9999\n")
    answer = json.loads(done.output)
    assert (answer["answer"], answer["decisions"]) == ("no", 1)
    assert len(answer["verified"][0]["root"]) == 64


def test_without_the_option_the_value_is_asked_for_and_not_shown(house: Path) -> None:
    """A value in a shell's history is one more place that it leaked to."""
    done = search(stdin=f"{SSN}\n")
    assert "yes: 1" in done.output
    assert SSN not in done.output


def test_a_search_that_cannot_know_fails(house: Path) -> None:
    """Decisions without tokens make "not found" no answer: exit status 1."""
    write(tokens=False)
    done = search("--value", "999-99-9999")
    assert isinstance(done.exception, AuditError)
    assert "1 decisions have no tokens" in str(done.exception)
    assert "there may be more" in search("--value", SSN).output


def test_without_the_token_key_nothing_is_searched(house: Path) -> None:
    """The key is kept elsewhere, as it should be; the error says which file."""
    (house / ".sovereign" / "token.key").unlink()
    done = search("--value", SSN)
    assert isinstance(done.exception, ConfigError)
    assert "token.key" in str(done.exception)


def test_a_copy_is_searched_without_being_written(house: Path) -> None:
    """What an auditor holds stays as it is: no record, no index."""
    folder = house / ".sovereign" / "audit"
    folder.rename(house / "copy")
    before = {f.name: f.read_bytes() for f in (house / "copy").iterdir()}
    assert "yes: 1" in search("--value", SSN, "--path", "copy").output
    after = {f.name: f.read_bytes() for f in (house / "copy").iterdir()}
    assert {n: d for n, d in after.items() if "log.db-" not in n} == {
        n: d for n, d in before.items() if "log.db-" not in n
    }


@pytest.mark.parametrize("bad", ["yesterday", "2026-13-01", "2026-01-01T25:00Z", "2026-1-1"])
def test_a_day_that_is_none_is_wrong_usage(house: Path, bad: str) -> None:
    """Nothing is recorded or searched over a range that was not understood."""
    assert search("--value", SSN, "--from", bad).exit_code == 2


def test_days_are_whole(house: Path) -> None:
    """--to includes its day: from today to today is today."""
    import datetime

    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    assert "yes: 1" in search("--value", SSN, "--from", today, "--to", today).output
    no = search("--value", SSN, "--to", "2020-01-01").output
    assert "no: none of 0" in no
    assert "a value that no recogniser found has no token" in no
