"""The command line as a whole: lazy, with errors of one line and a hint."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
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


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from _commands(below, f"{path} {name}")


def test_every_command_and_every_option_says_what_it_is_for() -> None:
    """Nobody should have to read the source to learn what an option takes."""
    silent = []
    for path, command in _commands(cli, "sovereign"):
        silent += [] if command.help else [path]
        options = [p for p in command.params if isinstance(p, click.Option)]
        silent += [f"{path} {o.opts[0]}" for o in options if not o.help]
    assert silent == []


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


def test_a_choice_that_was_not_made_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """click lists choices one below the other."""
    with pytest.raises(SystemExit) as caught:
        main(["audit", "report", "--from", "2026-01-01", "--to", "2026-01-31"])
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "'--framework'" in said[0]
    assert "nist-800-53" in said[0]


def test_a_place_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whichever command it is: one line with the path, and no traceback."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SystemExit) as caught:
        main(["tune", "cp", "scenarios/healthcare", str(file / "mine")])
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"error: {file / 'mine'}: Not a directory\n"


@pytest.mark.parametrize(
    ("argv", "package", "extra"),
    [
        (["gateway"], "httptools", "gateway"),
        (["guard", "inspect", "--policy", "hipaa", "hi"], "numpy", "guard"),
        (["scan", ".", "--policy", "hipaa"], "numpy", "guard"),
        (["tune", "check", "scenarios/healthcare"], "numpy", "tune"),
        (["serve", "bench", "m"], "httpx2", "serve"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(
    argv: list[str], package: str, extra: str, tmp_path: Path
) -> None:
    """In a process where the package cannot be imported."""
    code = f"import sys; sys.modules[{package!r}] = None; from sovereign.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {package} is not installed",
        f"hint: pip install 'sovereign-toolkit[{extra}]'",
    ]
