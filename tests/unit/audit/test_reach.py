"""Whoever finds no sequencer, and cannot start one, is told why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sovereign.audit import daemon, reach
from sovereign.audit.place import Place
from sovereign.audit.reach import first_line
from sovereign.audit.starting import Starter
from sovereign.errors import LogUnavailable


@pytest.fixture
def nobodys(tmp_path: Path) -> tuple[Path, Path]:
    """A folder in which no log can be (a file stands in its place), and a key."""
    (tmp_path / "taken").write_text("")
    key = tmp_path / "audit.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    return tmp_path / "taken", key


def test_a_sequencer_says_that_it_cannot_write(
    nobodys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """In its one line of JSON; a traceback would be seen by nobody."""
    folder, key = nobodys
    arguments = ["--folder", str(folder), "--key-file", str(key), "--origin", "log.example/a"]
    assert daemon.main(arguments) == 3
    said = json.loads(capsys.readouterr().out)
    assert said["message"] == f"audit log: cannot write in {folder}: File exists"


def test_what_the_sequencer_said_is_what_the_gateway_says(
    nobodys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was "the sequencer does not stay", whatever the reason."""
    monkeypatch.setattr(reach, "ATTEMPTS", 1)
    folder, key = nobodys
    with pytest.raises(LogUnavailable, match=r"cannot write in .*taken: File exists"):
        first_line(folder, "test", Starter(Place(folder), key, "log.example/a"))
