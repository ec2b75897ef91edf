"""The command line as a whole: lazy, with errors of one line and a hint."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from sovereign.cli import COMMANDS, cli, main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_line_in_the_table_is_the_commands_own(name: str) -> None:
    """The table exists so that --help imports nothing; it must not drift."""
    with click.Context(cli, info_name="sovereign") as context:
        command = cli.get_command(context, name)
    assert command is not None
    assert (command.help or "").strip().split("\n")[0] == COMMANDS[name][1]


def test_an_error_is_one_lower_case_line_and_a_hint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What happened, then what to do; no traceback."""
    with pytest.raises(SystemExit) as caught:
        main(["check", "--config", str(tmp_path / "none.toml")])
    assert caught.value.code == 1
    error = capsys.readouterr().err.splitlines()
    assert error[0] == f"error: {tmp_path / 'none.toml'}: no such file"
    assert error[1].startswith("hint: ")


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked what there is: no error line, and no hint to do what was done."""
    with pytest.raises(SystemExit) as caught:
        main(["guard"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("Usage: sovereign guard")
    assert "hint:" not in said


def test_wrong_usage_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts tell a wrong call from a failed one."""
    with pytest.raises(SystemExit) as caught:
        main(["chekc"])
    assert caught.value.code == 2
    assert "hint: sovereign --help" in capsys.readouterr().err


def test_a_command_that_is_nearly_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands are loaded when they are used; the list of their names is there."""
    with pytest.raises(SystemExit) as caught:
        main(["gatway"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert (
        said == "error: No such command 'gatway'. Did you mean 'gateway'?\nhint: sovereign --help\n"
    )
