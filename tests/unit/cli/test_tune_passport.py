"""`sovereign tune key | verify | prove | forget`, as an auditor meets them. No model is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from adapters import stamp

from sovereign.tune.roll import Roll
from sovereign.tune.rows import Row
from sovereign.weights.passport import signing_key

BASE = "ab" * 32


def sovereign(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sovereign", "tune", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two runs: one saw row r1 of patient p1, the other did not."""
    key = signing_key(tmp_path / ".sovereign" / "passport.key")
    (tmp_path / "sovereign.toml").write_text('[policy]\npreset = "hipaa"\n')
    for name in ("one", "two"):
        row = Row(1, ({"role": "user", "content": name},), id=f"r-{name}", group=f"p-{name}")
        roll = Roll.of([row], bytes(32))
        adapter = tmp_path / "runs" / name / "adapter"
        adapter.mkdir(parents=True)
        (adapter / "adapter_model.safetensors").write_bytes(name.encode())
        (adapter / "adapter_config.json").write_bytes(b"{}")
        roll.save(adapter.parent / "roll.json")
        said = {
            "roll": {"root": roll.root, "keys": len(roll.keys)},
            "data": {"train": {"used": 1, "read": 1}},
            "private": {"action": "refuse", "entities": {}},
            "privacy": {"epsilon": "none"},
        }
        stamp(adapter, BASE, key, predicate=said, name="smol")
    return tmp_path


def test_forget_lists_the_adapters_that_saw_a_row_or_a_patient(home: Path) -> None:
    """By the id of the row, or of the person."""
    for asked in ("r-one", "p-one"):
        done = sovereign("forget", asked, cwd=home)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "runs/one/adapter  saw it",
            "1 of 2 adapters saw it",
        ]
    assert json.loads(sovereign("forget", "nobody", "--json", cwd=home).stdout)["saw"] == []


def test_a_run_that_cannot_say_is_an_error(home: Path) -> None:
    """A missing roll is not an absence."""
    (home / "runs" / "two" / "roll.json").unlink()
    done = sovereign("forget", "r-one", cwd=home)
    assert done.returncode == 1
    assert "1 of 2 runs cannot say: runs/two" in done.stderr
    assert "runs/one/adapter  saw it" in done.stdout


def test_an_auditor_checks_a_proof_with_the_adapter_and_a_public_key(home: Path) -> None:
    """Elsewhere, without the roll and without a configuration: it was, or it was not."""
    away = home / "away"
    away.mkdir()
    (away / "key.pem").write_text(sovereign("key", cwd=home).stdout)
    for asked, says in (("r-one", "was trained on"), ("r-two", "was not trained on")):
        proof = sovereign("prove", "runs/one", "--id", asked, cwd=home)
        assert proof.returncode == 0, proof.stderr
        (away / "proof.json").write_text(proof.stdout)
        command = ["verify", home / "runs" / "one" / "adapter", "--proof", "proof.json"]
        done = sovereign(*command, "--key", "key.pem", cwd=away)
        assert f"{says} the id that the proof names" in done.stdout, done.stderr
    command[1] = home / "runs" / "two" / "adapter"
    other = sovereign(*command, "--key", "key.pem", cwd=away)
    assert other.returncode == 1
    assert "does not lead to the passport's root" in other.stderr


def test_verify_says_what_a_reviewer_asks_first(home: Path) -> None:
    """And refuses in one line what was changed."""
    done = sovereign("verify", "runs/one/adapter", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "differential privacy: not used" in done.stdout
    (home / "runs/one/adapter/adapter_model.safetensors").write_bytes(b"evil")
    done = sovereign("verify", "runs/one/adapter", cwd=home)
    assert done.returncode == 1
    assert "is not what its passport says" in done.stderr
    assert "Traceback" not in done.stderr
