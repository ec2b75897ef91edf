"""``sovereign serve``: every refusal is one line and a hint, before a model is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sovereign.cli import COMMANDS, main
from sovereign.cli.serve import serve_command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "sovereign.toml"
    file.write_text('[policy]\npreset = "hipaa"\n[models.m]\nbase = "b"\nadapter = "nowhere"\n')
    return file


def _error(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    with pytest.raises(SystemExit) as caught:
        main(["serve", *argv])
    assert caught.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    return lines


def test_its_help_is_the_line_that_the_list_shows() -> None:
    """`sovereign --help` does not import it."""
    assert serve_command.get_short_help_str(200) == COMMANDS["serve"][1]


def test_a_port_in_use_is_said_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    """With the port, and a way out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lines = _error(capsys, "x", "--config", str(config), "--port", str(port))
    assert f"port {port}" in lines[0]


def test_an_open_address_is_refused(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """There are no keys here; the hint names who has them."""
    lines = _error(capsys, "x", "--config", str(config), "--host", "0.0.0.0")
    assert "sovereign gateway" in lines[1]


def test_a_missing_adapter_is_named(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """A [models] name brings its adapter along, relative to the file."""
    lines = _error(capsys, "m", "--config", str(config))
    assert str(config.parent / "nowhere") in lines[0]


def test_adapters_may_stand_behind_the_model(
    capsys: pytest.CaptureFixture[str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MODEL+ADAPTER` is `MODEL --adapter ADAPTER`, with its key if it has one: the first is a
    folder that is there, and what follows it is looked for."""
    (config.parent / "there").mkdir()
    monkeypatch.chdir(config.parent)
    lines = _error(capsys, "x+there+b=gone", "--config", str(config))
    assert "gone: no such folder" in lines[0]


def test_a_model_that_is_not_in_the_store_is_an_error(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    """From the store, unchanged."""
    with pytest.raises(SystemExit):
        main(["serve", "x", "--config", str(config), "--port", "0"])
    assert "error: " in capsys.readouterr().err


def test_a_file_at_the_sockets_path_stays(
    capsys: pytest.CaptureFixture[str], config: Path, tmp_path: Path
) -> None:
    """Whoever mistypes --socket keeps the file, and so does a server that answers there."""
    folder = tmp_path / "ours"
    folder.mkdir(mode=0o700)
    file = folder / "notes"
    file.write_text("notes")
    lines = _error(capsys, "x", "--config", str(config), "--socket", str(file))
    assert "not a socket" in lines[0]
    assert file.read_text() == "notes"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(folder / "m.sock"))
        live.listen()
        lines = _error(capsys, "x", "--config", str(config), "--socket", str(folder / "m.sock"))
        assert "another process answers there" in lines[0]
        assert (folder / "m.sock").is_socket()


def test_a_missing_configuration_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`sovereign init` writes it."""
    lines = _error(capsys, "x", "--config", str(tmp_path / "none.toml"))
    assert "sovereign init" in lines[1]
