"""The store hands out only what the lockfile says, to the byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sovereign.audit import record
from sovereign.errors import LogUnavailable, NotAdmitted, NotVerified, WeightsError
from sovereign.weights import staging
from sovereign.weights.lock import load
from sovereign.weights.store import Store


def added(store: Store, tiny: Path) -> Path:
    store.add_folder(tiny, name="tiny", licence="Apache-2.0")
    return store.get("tiny")


def test_what_was_imported_is_handed_out_byte_for_byte(store: Store, tiny: Path) -> None:
    """And nothing that a checkout has beside it."""
    folder = added(store, tiny)
    there = {p.name: p.read_bytes() for p in folder.iterdir()}
    wanted = {p.name: p.read_bytes() for p in tiny.iterdir() if p.is_file()}
    wanted.pop(".gitattributes")
    assert there == wanted
    assert store.entry("tiny").licence == "Apache-2.0"
    assert folder.name == store.entry("tiny").digest[:12]


def test_the_same_bytes_have_the_same_digest_wherever_they_came_from(
    tmp_path: Path, store: Store, tiny: Path
) -> None:
    """So two people can compare a lock."""
    other = Store(tmp_path / "b", tmp_path / "b.lock")
    one = store.add_folder(tiny, name="one", licence="MIT")
    two = other.add_folder(tiny.rename(tmp_path / "moved"), name="two")
    assert one.digest == two.digest


def flip(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.chmod(0o644)
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


def cut(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])


def swap(folder: Path) -> None:
    (folder / "config.json").replace(folder / "x")
    (folder / "tokenizer.json").replace(folder / "config.json")
    (folder / "x").replace(folder / "tokenizer.json")


def link(folder: Path) -> None:
    copy = folder.parent / "copy.safetensors"
    copy.write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(copy)


def sparse(folder: Path) -> None:
    size = (folder / "model.safetensors").stat().st_size
    (folder / "model.safetensors").unlink()
    with (folder / "model.safetensors").open("wb") as f:
        f.truncate(size)


TAMPERINGS: dict[str, tuple[Any, str]] = {
    "one bit of the weights": (flip, "model.safetensors"),
    "a byte less of the tokenizer": (cut, "tokenizer.json"),
    "two files swapped": (swap, "config.json"),
    "a file gone": (lambda f: (f / "chat_template.jinja").unlink(), "chat_template.jinja"),
    "a file more": (lambda f: (f / "extra.txt").write_text("x"), "extra.txt"),
    "a hidden file more": (lambda f: (f / ".x").write_text("x"), ".x"),
    "code more": (lambda f: (f / "modeling.py").write_text("x"), "modeling.py"),
    "a file more in a git folder": (
        lambda f: ((f / ".git").mkdir(), (f / ".git" / "config").write_text("x")),
        ".git/config",
    ),
    "a link to the same bytes": (link, "model.safetensors"),
    "a hole of the same size": (sparse, "model.safetensors"),
    "the folder gone": (lambda f: f.rename(f.parent / "gone"), "is missing"),
    "the folder a link": (
        lambda f: (f.rename(f.parent / "g"), f.symlink_to(f.parent / "g")),
        "is missing",
    ),
    "a file became a folder": (
        lambda f: ((f / "LICENSE").unlink(), (f / "LICENSE").mkdir()),
        "LICENSE",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_store_is_refused_with_the_file_and_recorded(
    store: Store, tiny: Path, sink: Any, name: str
) -> None:
    """Every get verifies: changed, missing and additional files are named, and the log knows."""
    folder = added(store, tiny)
    tamper, named = TAMPERINGS[name]
    tamper(folder)
    with pytest.raises(NotVerified) as caught:
        store.get("tiny")
    assert named in caught.value.message
    assert sink.records[-1]["type"] == "weights.refuse"
    assert sink.records[-1]["code"] == "not_verified"


def test_a_tampered_model_is_mended_by_importing_it_again(store: Store, tiny: Path) -> None:
    """The bad folder goes out of the way, whole."""
    flip(added(store, tiny))
    store.add_folder(tiny, name="tiny", licence="Apache-2.0")
    store.get("tiny")
    assert len(list((store.root / "tiny").iterdir())) == 1


def test_every_event_fits_the_log_s_schema(store: Store, tiny: Path, sink: Any) -> None:
    """The log refuses what it does not know; then nothing could be imported."""
    added(store, tiny)
    (tiny / "x.bin").write_bytes(b"")
    with pytest.raises(NotAdmitted):
        store.add_folder(tiny, name="other")
    assert [r["type"] for r in sink.records] == [
        "weights.import",
        "weights.verify",
        "weights.refuse",
    ]
    for event in sink.records:
        record.event(**event)


def test_a_lockfile_that_is_refused_is_in_the_log(store: Store, tiny: Path, sink: Any) -> None:
    """Somebody edited it: that is news, also before any file was looked at."""
    added(store, tiny)
    store.lock.write_text(store.lock.read_text().replace("Apache-2.0", "MIT"))
    with pytest.raises(NotVerified, match="seal"):
        store.get("tiny")
    assert sink.records[-1] == {"type": "weights.refuse", "code": "not_verified"}
    record.event(**sink.records[-1])


def test_without_a_record_nothing_enters(store: Store, tiny: Path) -> None:
    """The event is durable before the folder appears and the lockfile names it."""

    class Full:
        def submit(self, record: object) -> object:
            raise LogUnavailable("full")

    store.sink = Full()  # type: ignore[assignment]
    with pytest.raises(LogUnavailable):
        store.add_folder(tiny, name="tiny")
    assert not store.lock.exists()
    assert not (store.root / "tiny").exists()


def test_a_name_is_not_taken_over_by_accident(store: Store, tiny: Path) -> None:
    """Serving other weights under a known name must be asked for."""
    before = added(store, tiny)
    (tiny / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="already holds other weights"):
        store.add_folder(tiny, name="tiny")
    assert store.get("tiny") == before
    store.add_folder(tiny, name="tiny", replace=True)
    assert store.get("tiny") != before


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "A", "a" * 65, "a..b", "x\n"])
def test_a_name_that_is_no_folder_name_is_refused(store: Store, tiny: Path, name: str) -> None:
    """It becomes a folder."""
    with pytest.raises(WeightsError):
        store.add_folder(tiny, name=name)


def test_too_little_disk_is_said_before_anything_is_written(
    store: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after an hour of copying."""
    usage = staging.shutil.disk_usage(tiny)
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(WeightsError, match=r"are needed, 0\.0 GB are free"):
        store.add_folder(tiny, name="tiny")
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(
    "moment", ["sovereign.weights.staging._sync", "sovereign.weights.lock.save", "Path.rename"]
)
def test_a_kill_during_import_leaves_nothing_half_written(
    tmp_path: Path, tiny: Path, moment: str
) -> None:
    """SIGKILL while syncing, while moving, while writing the lock: the store is as it was before,
    and the next import goes through and sweeps up."""
    body = f"""
        import os, signal, sys
        from pathlib import Path
        from unittest import mock
        import sovereign.weights.staging, sovereign.weights.lock
        from sovereign.weights.store import Store
        die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        target = "pathlib.Path.rename" if {moment!r} == "Path.rename" else {moment!r}
        store = Store(Path({str(tmp_path / "store")!r}), Path({str(tmp_path / "l.lock")!r}))
        with mock.patch(target, die):
            store.add_folder(Path({str(tiny)!r}), name="tiny")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(body)], check=False)
    assert done.returncode == -signal.SIGKILL
    store = Store(tmp_path / "store", tmp_path / "l.lock")
    assert store.entries() == []
    with pytest.raises(WeightsError, match="no weights named 'tiny'"):
        store.get("tiny")
    store.add_folder(tiny, name="tiny")
    store.get("tiny")
    assert list((store.root / ".staging").iterdir()) == []


def test_two_imports_at_once_both_enter(tmp_path: Path, tiny: Path) -> None:
    """The lockfile is read and written under one lock, so no entry is lost."""
    body = (
        "import sys; from pathlib import Path; from sovereign.weights.store import Store;"
        "Store(Path(sys.argv[1]), Path(sys.argv[2])).add_folder(Path(sys.argv[3]),name=sys.argv[4])"
    )
    lock = tmp_path / "l.lock"
    common = [sys.executable, "-c", body, str(tmp_path / "store"), str(lock), str(tiny)]
    running = [subprocess.Popen([*common, f"m{i}"], env=os.environ) for i in range(4)]
    assert [p.wait() for p in running] == [0] * 4
    assert sorted(load(lock)) == ["m0", "m1", "m2", "m3"]


def test_an_unknown_name_lists_what_is_there(store: Store, tiny: Path) -> None:
    """A mistyped name in sovereign.toml is the commonest mistake."""
    added(store, tiny)
    with pytest.raises(WeightsError, match="'tinny'") as caught:
        store.get("tinny")
    assert "tiny" in caught.value.hint
