"""``sovereign keys``: the secret is shown once, and each change is in the log."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sovereign.cli.keys import keys_command
from sovereign.errors import ConfigError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "sovereign.toml"
    file.write_text(
        '[policy]\npreset = "direct"\n[keys]\nfile = "keys.json"\n'
        '[audit]\npath = "audit"\nkey_file = "audit.key"\n'
    )
    (tmp_path / "audit.key").write_bytes(os.urandom(32))
    (tmp_path / "audit.key").chmod(0o600)
    return file


def _run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        keys_command, [*arguments, "--config", str(config)], catch_exceptions=False
    )


def _events(config: Path) -> list[Any]:
    with sqlite3.connect(config.parent / "audit" / "log.db") as db:
        rows = db.execute("SELECT bytes FROM record ORDER BY idx").fetchall()
    records = [json.loads(row[0]) for row in rows]
    return [r for r in records if r["type"].startswith("key.")]


def test_create_list_revoke(config: Path) -> None:
    """The secret alone is on stdout, so that a shell can take it; lists never show it."""
    made = _run(config, "create", "--team", "cardiology", "--models", "gpt-4o, llama-*")
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert secret.startswith("sk-sovereign-")
    listed = json.loads(_run(config, "list", "--json").stdout)
    assert [(k["team"], k["models"]) for k in listed] == [("cardiology", ["gpt-4o", "llama-*"])]
    assert "live" in _run(config, "list").stdout
    assert secret not in _run(config, "list").stdout
    assert _run(config, "revoke", listed[0]["id"]).exit_code == 0
    assert "revoked 2" in _run(config, "list").stdout
    events = _events(config)
    assert [e["type"] for e in events] == ["key.create", "key.revoke"]
    assert events[0]["models"] == ["gpt-4o", "llama-*"]
    assert secret not in json.dumps(events)


def test_without_a_log_there_is_no_new_key(config: Path) -> None:
    """A key that nobody recorded must not open anything."""
    (config.parent / "audit.key").unlink()
    with pytest.raises(ConfigError):
        _run(config, "create", "--team", "it")
    assert not (config.parent / "keys.json").exists()


def test_without_a_log_revoking_still_closes(config: Path) -> None:
    """Closing comes first; that it was not recorded is an error all the same."""
    _run(config, "create", "--team", "it")
    key = json.loads(_run(config, "list", "--json").stdout)[0]["id"]
    (config.parent / "audit.key").unlink()
    with pytest.raises(ConfigError):
        _run(config, "revoke", key)
    assert json.loads(_run(config, "list", "--json").stdout)[0]["revoked"]
