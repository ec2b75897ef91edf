"""Rotation, retention, holds and erasure as a person meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sovereign.audit import record
from sovereign.audit.log import open_log
from sovereign.audit.reader import read
from sovereign.audit.tokens import read_token_key
from sovereign.audit.verify import verify
from sovereign.cli.audit import audit_command
from sovereign.config import load_config
from sovereign.types import Action, Destination, Verdict

SSN = "123-45-6789"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with keys, and a log with one decision about an SSN."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sovereign.toml").write_text(
        '[policy]\npreset = "hipaa"\n[audit]\npath = "log"\nkey_file = "k"\ntoken_key_file = "t"\n'
    )
    for name in ("k", "t"):
        (tmp_path / name).write_bytes(bytes(range(32)))
        (tmp_path / name).chmod(0o600)
    config = load_config("sovereign.toml")
    key = read_token_key(config)
    assert key is not None
    verdict = Verdict(Action.MASK, Destination("openai", "hosted"), "a" * 64)
    with open_log(config, "test") as log:
        log.append(
            record.intent(
                request="req_1",
                team="t",
                key_id="k",
                endpoint="openai.chat",
                model="m",
                destination=verdict.destination,
                verdict=Verdict(
                    verdict.action,
                    verdict.destination,
                    verdict.policy,
                    entities={"US_SSN": {"mask": 1}},
                ),
                guard_build="b" * 64,
                body_sha256="c" * 64,
                bytes_out=1,
                stream=False,
                tokens=key.tokens("t", [("US_SSN", SSN)], 1.7e9),
            )
        )
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(audit_command, list(arguments))


def test_commands_go_on_over_a_rotation(house: Path) -> None:
    """A record is named with its log; search and show look into all of them."""
    assert "log 2 has begun" in run("rotate").output
    found = run("search", "--value", SSN, "--entity", "US_SSN")
    assert found.exit_code == 0, found.output
    assert "yes: 1 of 1 decisions" in found.output
    assert "read whole: log 2" in found.output
    shown = run("show", "--request", "req_1")
    assert "req_1" in shown.output
    for place, out in (("1/1", "1-1.tlog-proof"), ("2/0", "2-0.tlog-proof")):
        assert run("prove", place).exit_code == 0
        key = run("key").output.strip()
        checked = run("check-proof", out, "--key", key)
        assert checked.exit_code == 0, checked.output
    assert "log 2:" in run("verify").output
    published = run("publish", "out")
    assert published.exit_code == 0, published.output
    assert run("check-tiles", "out", "--key", run("key").output.strip()).exit_code == 0
    wrong = run("prove", "9/1")
    assert wrong.exit_code != 0
    assert run("prove", "x").exit_code == 2


def test_retention_says_what_it_would_do_and_a_hold_stands_in_its_way(house: Path) -> None:
    """Six years for the preset hipaa. Nothing is deleted without --apply. Where there is nothing to
    say, that is said: an empty answer looks like one that was not given."""
    none = run("retention").output
    assert "no log has ended yet" in none
    assert "kept for 2,192 days" in none
    assert run("hold", "list").output == "no hold stands\n"
    run("rotate")
    said = run("retention")
    assert said.exit_code == 0, said.output
    assert "kept until" in said.output
    assert ", due" not in said.output
    held = run("hold", "set", "case-7")
    assert held.exit_code == 0, held.output
    assert "case-7" in run("hold", "list").output
    assert "held by case-7" in run("retention").output
    assert run("hold", "release", "case-8").exit_code == 1
    assert run("hold", "release", "case-7").exit_code == 0
    assert run("hold", "list").output == "no hold stands\n"
    assert "log.hold" in run("show").output


def test_an_erased_value_is_found_by_nobody_and_every_proof_still_verifies(house: Path) -> None:
    """The receipt is a proof of the record of it. Another value is searched as before."""
    run("prove", "1", "--out", "older")
    done = run("erase", "--value", SSN, "--out", "receipt")
    assert done.exit_code == 0, done.output
    assert "keys destroyed" in done.output
    assert SSN not in done.output
    key = run("key").output.strip()
    for proof in ("older", "receipt"):
        assert run("check-proof", proof, "--key", key).exit_code == 0
    assert "log.erase" in run("check-proof", "receipt", "--key", key).output
    searched = run("search", "--value", SSN)
    assert searched.exit_code == 1
    assert "were destroyed" in str(searched.exception)
    assert run("search", "--value", "999-99-9999").exit_code == 0
    assert verify(house / "log").ok
    kinds = [one.record["type"] for one in read(house / "log", last=20) if one.record]
    assert kinds.count("log.erase") == 1
    assert SSN.replace("-", "").encode() not in (house / "log" / "log.db").read_bytes()
    again = run("erase", "--value", SSN, "--out", "again")
    assert "destroyed before" in again.output
