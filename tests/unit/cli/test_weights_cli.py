"""`sovereign weights`, as a person meets it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest


def sovereign(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sovereign", "weights", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    there = tmp_path / "tiny"
    there.mkdir()
    (there / "config.json").write_text("{}")
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    raw = struct.pack("<Q", len(header)) + header + bytes(4)
    (there / "model.safetensors").write_bytes(raw)
    return there


def test_import_ls_and_verify_in_a_row(folder: Path, tmp_path: Path) -> None:
    """The three commands of a first day, without a configuration."""
    store = ("--store", tmp_path / "store")
    done = sovereign("import", folder, "--name", "tiny", "--licence", "MIT", *store, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(sovereign("ls", "--json", *store, cwd=tmp_path).stdout)
    assert (row["name"], row["kind"], row["licence"]) == ("tiny", "folder", "MIT")
    assert row["digest"][:12] in sovereign("ls", *store, cwd=tmp_path).stdout
    assert sovereign("verify", *store, cwd=tmp_path).stdout.endswith("  ok\n")


def test_a_refusal_is_one_line_with_the_file_and_a_hint(folder: Path, tmp_path: Path) -> None:
    """And the exit status is 1."""
    store = ("--store", tmp_path / "store")
    sovereign("import", folder, "--name", "tiny", *store, cwd=tmp_path)
    (held,) = (tmp_path / "store" / "tiny").iterdir()
    (held / "config.json").chmod(0o644)
    (held / "config.json").write_text("[]")
    done = sovereign("verify", "tiny", *store, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: tiny: config.json: was changed"
    assert done.stderr.splitlines()[1].startswith("hint: ")
    (folder / "pytorch_model.bin").write_bytes(b"")
    done = sovereign("import", folder, "--name", "more", *store, cwd=tmp_path)
    assert done.stderr.startswith("error: pytorch_model.bin: may hold a pickle")


@pytest.fixture
def configured(folder: Path, tmp_path: Path) -> Path:
    """Where `sovereign init` and an import were run."""
    init = subprocess.run(
        [sys.executable, "-m", "sovereign", "init"], cwd=tmp_path, capture_output=True, check=False
    )
    assert init.returncode == 0, init.stderr
    done = sovereign("import", folder, "--name", "tiny", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sovereign.lock").exists()
    return tmp_path


def logged(root: Path, event: bytes) -> int:
    files = (p for p in (root / ".sovereign/audit").rglob("*") if p.is_file())
    return b"".join(p.read_bytes() for p in files).count(event)


def test_with_a_configuration_every_event_is_in_the_audit_log(configured: Path) -> None:
    """`sovereign init`, then import: the log holds the event."""
    assert logged(configured, b"weights.import")


def test_a_signature_that_is_refused_is_in_the_audit_log(configured: Path) -> None:
    """A stranger's signature is news, as a changed file is."""
    for name in ("ours", "theirs"):
        private, public = configured / f"{name}.pem", configured / f"{name}.pub"
        openssl = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]
        subprocess.run([*openssl, private], check=True)
        private.chmod(0o600)
        openssl = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
        subprocess.run(openssl, check=True, capture_output=True)
    assert sovereign("sign", "tiny", "--key", "theirs.pem", cwd=configured).returncode == 0
    assert sovereign("verify", "tiny", "--key", "theirs.pub", cwd=configured).returncode == 0
    assert not logged(configured, b"weights.refuse")
    done = sovereign("verify", "tiny", "--key", "ours.pub", cwd=configured)
    assert done.stderr.startswith("error: tiny.sig: was not signed by this key")
    assert logged(configured, b"weights.refuse")


def test_the_command_imports_no_torch() -> None:
    """Listing and verifying must not wait three seconds for it."""
    body = "import sys, sovereign.cli.weights, sovereign.weights.store, sovereign.weights.hub\n"
    body += "assert not {'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", body], check=True)
