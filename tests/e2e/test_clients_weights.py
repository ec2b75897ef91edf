"""Weights by tools that others wrote: OpenSSF's model_signing, picklescan and modelscan, SPDX.

None is in our environment: scripts/clients gives them one of their own, where they find us.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import NotAdmitted
from sovereign.weights import convert
from sovereign.weights.store import Store

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ROOT / ".venv-clients")).resolve()
BIN = CLIENTS / "clients-weights" / "bin"
HEADER = b'{"a":{"dtype":"U8","shape":[70000],"data_offsets":[0,70000]}}'
pytestmark = pytest.mark.skipif(
    not BIN.exists(), reason="not installed here: scripts/clients installs it, scripts/test runs it"
)


def run(*command: str | Path, ok: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")


# -- OpenSSF's model_signing --------------------------------------------------------------------


@pytest.fixture
def curve() -> str:
    return "prime256v1"


@pytest.fixture
def keys(tmp_path: Path, curve: str) -> tuple[Path, Path]:
    """A private and a public key, made as docs/air-gap.md makes them."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    run("openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private)
    private.chmod(0o600)
    run("openssl", "ec", "-in", private, "-pubout", "-out", public)
    return private, public


@pytest.fixture
def model(store: Store, tmp_path: Path) -> Path:
    """A folder of the store, as ``tiny``."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    raw = len(HEADER).to_bytes(8, "little") + HEADER + bytes(70_000)
    (source / "model.safetensors").write_bytes(raw)
    store.add_folder(source, name="tiny", licence="MIT")
    return store.get("tiny")


def ours(store: Store, *arguments: str | Path, ok: bool = True) -> str:
    command = (sys.executable, "-m", "sovereign", "weights", *arguments)
    return run(*command, "--store", store.root, ok=ok)


def theirs(*arguments: str | Path, ok: bool = True) -> str:
    return run(BIN / "model_signing", *arguments, ok=ok)


def test_model_signing_verifies_what_we_signed_and_we_what_it_signed(
    store: Store, model: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Both command lines; a changed byte is refused by both."""
    private, public = keys
    our, their = tmp_path / "our.sig", tmp_path / "their.sig"
    ours(store, "sign", "tiny", "--key", private, "--out", our)
    theirs("verify", "key", model, "--signature", our, "--public_key", public)
    theirs("sign", "key", model, "--signature", their, "--private_key", private)
    ours(store, "verify", "tiny", "--key", public, "--signature", their)

    (model / "config.json").chmod(0o644)
    (model / "config.json").write_text("[]")
    theirs("verify", "key", model, "--signature", our, "--public_key", public, ok=False)
    said = ours(store, "verify", "tiny", "--key", public, "--signature", their, ok=False)
    assert "config.json: was changed" in said


@pytest.mark.parametrize("curve", ["secp384r1", "secp521r1"])
def test_model_signing_verifies_the_other_curves_of_the_format(
    store: Store, model: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Each with the hash that belongs to it."""
    ours(store, "sign", "tiny", "--key", keys[0], "--out", tmp_path / "sig")
    theirs("verify", "key", model, "--signature", tmp_path / "sig", "--public_key", keys[1])


@pytest.mark.usefixtures("model")
def test_model_signing_verifies_an_unpacked_bundle(
    store: Store, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """In several parts, with what lies beside; a changed or additional file is refused."""
    private, public = keys
    there = tmp_path / "carried"
    ours(store, "bundle", "tiny", "--out", there, "--part", "65536", "--key", private)
    assert len(list(there.glob("part-*.tar"))) == 2
    run("sh", "-ec", f"cat {there}/part-*.tar | tar -x -C {there}")
    check = ("verify", "key", there, "--signature", there / "bundle.sig", "--public_key", public)
    theirs(*check)
    (there / "more.txt").write_text("x")
    theirs(*check, ok=False)
    (there / "more.txt").unlink()
    lock = (there / "sovereign.lock").read_text()
    (there / "sovereign.lock").write_text(lock.replace("MIT", "MIX"))
    theirs(*check, ok=False)


# -- picklescan and modelscan -------------------------------------------------------------------


@pytest.fixture
def scanners(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that scans is theirs, where the scanners are; the one that converts is ours,
    where torch is. A user has both in one environment."""
    child, ours = convert._child, sys.executable

    def either(what: str, source: Path, out: Path) -> dict[str, Any]:
        monkeypatch.setattr(sys, "executable", str(BIN / "python") if what == "scan" else ours)
        return child(what, source, out)

    monkeypatch.setattr(convert, "_child", either)


SAVE = """
import sys, torch
torch.save({"a": torch.ones(3)}, sys.argv[1])
"""


@pytest.mark.usefixtures("scanners")
def test_what_both_scanners_say_is_in_the_lock(store: Store, tmp_path: Path) -> None:
    """As advice, with their versions, under the entry's seal."""
    run(sys.executable, "-c", SAVE, tmp_path / "model.bin")
    entry = store.add_pickle(tmp_path / "model.bin", name="p", licence="MIT")
    assert [(s.scanner, s.verdict) for s in entry.scans] == [
        ("picklescan", "clean"),
        ("modelscan", "clean"),
    ]
    assert store.entry("p").scans == entry.scans
    assert '"scanner": "picklescan"' in store.lock.read_text()
    store.verify("p")


@pytest.mark.usefixtures("scanners")
def test_what_a_scanner_calls_clean_is_not_admitted_by_it(store: Store, tmp_path: Path) -> None:
    """They advise. A pickle of words is harmless, and is no weights."""
    (tmp_path / "model.bin").write_bytes(pickle.dumps({"a": "words"}))
    asked = convert._child("scan", tmp_path / "model.bin", tmp_path)
    assert asked["scans"][0] == {
        "scanner": "picklescan",
        "version": asked["scans"][0]["version"],
        "verdict": "clean",
    }
    with pytest.raises(NotAdmitted, match=r"model\.bin"):
        store.add_pickle(tmp_path / "model.bin", name="p", licence="MIT")
    assert store.entries() == []


class Evil:
    def __reduce__(self) -> Any:
        return eval, ("1",)


@pytest.mark.usefixtures("scanners")
def test_what_a_scanner_calls_dangerous_is_not_opened(store: Store, tmp_path: Path) -> None:
    """The refusal says which scanner said so."""
    (tmp_path / "model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(NotAdmitted, match=r"picklescan .* calls a pickle in it dangerous"):
        store.add_pickle(tmp_path / "model.bin", name="p", licence="MIT")


# -- SPDX's own model ---------------------------------------------------------------------------

READ = """
import io, sys
from spdx_python_model import v3_0_1 as spdx
there = spdx.SHACLObjectSet()
spdx.JSONLDDeserializer().read(sys.stdin.buffer, there)
assert not there.missing_ids, there.missing_ids
spdx.JSONLDSerializer().write(there, io.BytesIO())  # it is here that what is missing is noticed
print(len(list(there.foreach_type("ai_AIPackage"))), len(list(there.foreach_type("software_File"))))
"""


def _spdx(document: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "python", "-c", READ]
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("model")
def test_a_bill_in_spdx_is_of_its_own_model(store: Store) -> None:
    """SPDX's bindings take every type, property and cardinality, and miss no element. They would
    refuse a property that SPDX does not have, and an element without what it must have."""
    made = ours(store, "bom", "tiny", "--spdx")
    done = _spdx(made)
    assert (done.returncode, done.stdout) == (0, "1 2\n"), done.stderr
    for right, wrong in (
        ('"simplelicensing_licenseExpression": "MIT"', '"simplelicensing_licence": "MIT"'),
        ('"relationshipType": "contains",', ""),
        ('"type": "SoftwareAgent"', '"type": "Robot"'),
    ):
        assert right in made
        assert _spdx(made.replace(right, wrong)).returncode == 1
