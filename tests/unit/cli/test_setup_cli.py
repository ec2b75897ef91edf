"""`init` writes a configuration that `check` understands, and never overwrites a key."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from sovereign.cli import main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    main(list(args))
    return capsys.readouterr().out


def test_init_writes_a_file_that_check_explains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newcomer's first two commands."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    run(capsys, "init", str(tmp_path))
    said = run(capsys, "check", "--config", str(tmp_path / "sovereign.toml"))
    assert "policy hipaa" in said
    assert "openai (hosted; https://api.openai.com/v1" in said
    assert "OPENAI_API_KEY is not set" in said


def test_keys_are_private_random_and_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replaced surrogate key orphans every stand-in; a replaced audit key ends the log."""
    run(capsys, "init", str(tmp_path))
    keys = [tmp_path / ".sovereign" / n for n in ("audit.key", "surrogate.key")]
    before = [k.read_bytes() for k in keys]
    assert len(set(before)) == 2
    assert all(len(b) == 32 for b in before)
    assert all(stat.S_IMODE(k.stat().st_mode) == 0o600 for k in keys)
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path)])
    (tmp_path / "sovereign.toml").unlink()
    run(capsys, "init", str(tmp_path))
    assert [k.read_bytes() for k in keys] == before
    assert (tmp_path / ".sovereign" / ".gitignore").read_text() == "*\n"


def test_an_unknown_preset_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing half made."""
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "new"), "--preset", "hippa"])
    assert not (tmp_path / "new").exists()
    assert "there are: " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback: the newcomer's first command."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "file" / "new")])
    said = capsys.readouterr().err
    assert said.startswith(f"error: cannot write in {tmp_path / 'file' / 'new'}: Not a directory")
    assert "hint: choose a folder that is yours" in said


def test_check_says_for_machines_what_it_says_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipeline can hold the configuration to a rule."""
    run(capsys, "init", str(tmp_path), "--preset", "strict")
    report = json.loads(
        run(capsys, "check", "--json", "--config", str(tmp_path / "sovereign.toml"))
    )
    openai = next(d for d in report["destinations"] if d["name"] == "openai")
    assert "PERSON" in openai["entities"]["local"]
    assert openai["unreadable"] == "local"
    assert any("local_model names nobody" in w for w in report["warnings"])


def test_a_verb_for_a_destination_that_is_not_there_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt destination would protect nothing, silently."""
    run(capsys, "init", str(tmp_path))
    (tmp_path / "policy.toml").write_text(
        'name = "ours"\nextends = "hipaa"\n[destination.opnai]\nPERSON = "block"\n'
    )
    file = tmp_path / "sovereign.toml"
    file.write_text(file.read_text().replace('preset = "hipaa"', 'file = "policy.toml"', 1))
    file.write_text(file.read_text().replace('# file = "policy.toml"\n', ""))
    with pytest.raises(SystemExit):
        main(["check", "--config", str(file)])
    assert "[destination.opnai] is no destination" in capsys.readouterr().err


def test_check_tells_combinations_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An officer has to see what happens to three harmless things together."""
    run(capsys, "init", str(tmp_path))
    said = run(capsys, "check", "--config", str(tmp_path / "sovereign.toml"))
    assert (
        "together in one request (birth-place-sex): dates of birth + US postal codes or places + "
        "sex and gender: replaced by its kind" in " ".join(said.split())
    )


def test_check_warns_of_a_kind_that_nothing_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever writes SECRTE = "block" believes that secrets are refused. They are not."""
    run(capsys, "init", str(tmp_path))
    config = tmp_path / "sovereign.toml"
    config.write_text(config.read_text().replace('preset = "hipaa"', 'file = "policy.toml"'))
    policy = tmp_path / "policy.toml"
    right = 'name = "p"\nextends = "hipaa"\n[hosted]\nSECRET = "block"\nDE_TAX_ID = "block"\n'
    policy.write_text(right.replace("SECRET", "SECRTE"))
    said = run(capsys, "check", "--config", str(config))
    assert (
        "warning: the policy names SECRTE, which nothing here finds; did you mean SECRET?" in said
    )
    policy.write_text(right)
    assert "which nothing here finds" not in run(capsys, "check", "--config", str(config))


def test_a_policy_file_that_is_missing_is_not_said_to_come_from_init(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sovereign init` writes sovereign.toml only."""
    run(capsys, "init", str(tmp_path))
    config = tmp_path / "sovereign.toml"
    config.write_text(config.read_text().replace('preset = "hipaa"', 'file = "mine.toml"'))
    with pytest.raises(SystemExit):
        main(["check", "--config", str(config)])
    said = capsys.readouterr().err
    assert "mine.toml: no such file\nhint: a file, or a preset: direct, " in said
