"""Bundles that somebody changed on the way, each refused with the name of the file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sovereign.audit.record import event
from sovereign.errors import NotVerified, WeightsError
from sovereign.types import Receipt
from sovereign.weights.bundle import bundle
from sovereign.weights.store import Store
from sovereign.weights.unbundle import unbundle

KEY = ec.generate_private_key(ec.SECP256R1())
LIMIT = 1 << 16
ONE, TWO = "part-00001.tar", "part-00002.tar"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("carried")
    source = root / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    header = b'{"a":{"dtype":"U8","shape":[200000],"data_offsets":[0,200000]}}'
    body = bytes(range(250)) * 800
    (source / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
    store = Store(root / "store", root / "sovereign.lock")
    store.add_folder(source, name="tiny", licence="MIT")
    bundle(store, ["tiny"], root / "bundle", limit=LIMIT, key=KEY)
    return root / "bundle"


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def swap(b: Path) -> None:
    (b / ONE).rename(b / "x")
    (b / TWO).rename(b / ONE)
    (b / "x").rename(b / TWO)


def linked(b: Path) -> None:
    (b / ONE).rename(b.parent / "elsewhere")
    (b / ONE).symlink_to(b.parent / "elsewhere")


def holes(b: Path) -> None:
    os.truncate(b / TWO, 0)
    os.truncate(b / TWO, LIMIT)


def manifest(old: str, new: str) -> Callable[[Path], None]:
    def change(b: Path) -> None:
        text = (b / "bundle.json").read_text()
        assert old in text
        (b / "bundle.json").write_text(text.replace(old, new))

    return change


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of the weights": (lambda b: flip(b / TWO, 100), "model.safetensors"),
    "a tar header": (lambda b: flip(b / ONE, 0), "config.json"),
    "a link's type in a tar header": (lambda b: flip(b / ONE, 156), "config.json"),
    "padding behind a file": (lambda b: flip(b / ONE, 600), "config.json"),
    "a part cut short": (lambda b: os.truncate(b / TWO, 9), TWO),
    "a part made longer": (lambda b: os.truncate(b / TWO, LIMIT + 1), TWO),
    "parts in another order": (swap, "config.json"),
    "a part with holes": (holes, "model.safetensors"),
    "a part that is a link": (linked, ONE),
    "a part that is missing": (lambda b: (b / TWO).unlink(), TWO),
    "a part too many": (lambda b: (b / "part-00009.tar").write_bytes(b""), "part-00009.tar"),
    "a file that is not listed": (lambda b: (b / "run.sh").write_text("x"), "run.sh"),
    "a pipe": (lambda b: os.mkfifo(b / "pipe"), "pipe"),
    "a changed bill of materials": (lambda b: flip(b / "bom/tiny.cdx.json", 0), "tiny.cdx.json"),
    "no signature": (lambda b: (b / "bundle.sig").unlink(), "bundle.sig"),
    "a broken signature": (lambda b: (b / "bundle.sig").write_text("{}"), "bundle.sig"),
    "a changed lock": (lambda b: flip(b / "sovereign.lock", 40), "sovereign.lock"),
    "a path out of the folder": (manifest("tiny/config", "../config"), "bundle.json"),
    "an absolute path": (manifest("tiny/config", "/tiny/config"), "bundle.json"),
    "another path": (manifest("tiny/config", "tiny/confix"), "bundle.json"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_changed_bundle_is_refused_by_name(name: str, made: Path, tmp_path: Path) -> None:
    """Nothing is in the store or the lock afterwards, whatever was changed."""
    change, named = TAMPERINGS[name]
    there = tmp_path / "bundle"
    shutil.copytree(made, there)
    change(there)
    store = Store(tmp_path / "store", tmp_path / "sovereign.lock")
    with pytest.raises((NotVerified, WeightsError), match=named):
        unbundle(store, there, key=KEY.public_key())
    assert store.entries() == []
    assert not (tmp_path / "store" / "tiny").exists()


def test_another_key_is_refused(made: Path, tmp_path: Path) -> None:
    """A bundle that a stranger signed is not one that we know."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(NotVerified, match=r"bundle\.sig"):
        unbundle(Store(tmp_path / "s", tmp_path / "l"), made, key=other)


def test_an_import_that_waited_for_a_disc_goes_on(made: Path, tmp_path: Path) -> None:
    """What was read needs not be there any more, and the lock is the sender's, byte for byte."""
    there = tmp_path / "bundle"
    shutil.copytree(made, there)
    (there / TWO).rename(tmp_path / TWO)
    store = Store(tmp_path / "store", tmp_path / "sovereign.lock")
    with pytest.raises(WeightsError, match=TWO):
        unbundle(store, there, key=KEY.public_key())
    (tmp_path / TWO).rename(there / TWO)
    (there / ONE).unlink()
    unbundle(store, there, key=KEY.public_key())
    store.verify("tiny")
    assert store.lock.read_bytes() == (made / "sovereign.lock").read_bytes()


class Memory:
    """A sink that keeps the types of what it got."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def submit(self, record: Mapping[str, object]) -> Future[Receipt]:
        event(**record)
        self.types.append(str(record["type"]))
        done: Future[Receipt] = Future()
        done.set_result(Receipt(0, bytes(32)))
        return done


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_file_that_was_changed_is_not_carried_out(made: Path, tmp_path: Path, file: str) -> None:
    """By name, in the log, and the folder is no bundle."""
    sink = Memory()
    store = Store(tmp_path / "store", tmp_path / "sovereign.lock", sink)
    unbundle(store, made, key=KEY.public_key())
    there = store.folder(store.entry("tiny")) / file
    there.chmod(0o644)
    flip(there, -1)
    with pytest.raises(NotVerified, match=file):
        bundle(store, ["tiny"], tmp_path / "out", limit=LIMIT, key=KEY)
    assert sink.types == ["weights.import", "weights.refuse"]
    assert not (tmp_path / "out/bundle.json").exists()
    with pytest.raises(NotVerified, match=r"bundle\.json"):
        unbundle(store, tmp_path / "out", key=KEY.public_key())
