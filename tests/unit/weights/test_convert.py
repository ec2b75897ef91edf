"""Pickles become safetensors in a process that can reach nothing, or not at all."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import NotAdmitted
from sovereign.weights import convert
from sovereign.weights.store import Store


class Evil:
    def __reduce__(self) -> Any:
        return eval, ("1",)


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """Two shards with an index, as the Hub has them. Torch writes them in a process of its own."""
    there = tmp_path / "pickled"
    there.mkdir()
    (there / "config.json").write_text("{}")
    (there / "modeling.py").write_text("raise SystemExit")
    (there / "pytorch_model.bin.index.json").write_text('{"weight_map": {}}')
    body = """if 1:
        import sys, torch
        from pathlib import Path
        tied = torch.arange(6.0)
        shards = [{"a": tied, "b": tied.view(2, 3)}, {"c": torch.ones(2, dtype=torch.bfloat16)}]
        for n, shard in enumerate(shards, 1):
            torch.save(shard, Path(sys.argv[1]) / f"pytorch_model-{n:05}-of-00002.bin")
    """
    subprocess.run([sys.executable, "-c", body, there], check=True)
    return there


def test_shards_are_converted_indexed_and_locked_with_their_origin(
    store: Store, pickled: Path
) -> None:
    """Code and the old index stay behind; the lock says what it was made of, and by what."""
    entry = store.add_pickle(pickled, name="p", licence="MIT")
    assert [f.path for f in entry.files] == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    folder = store.get("p")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00001-of-00002.safetensors",
        "c": "model-00002-of-00002.safetensors",
    }
    assert entry.kind == "pickle"
    assert entry.source_sha256
    assert entry.converter["torch"].startswith("2.")


@pytest.mark.parametrize("other", ["model.pt", "model.safetensors"])
def test_two_files_that_would_become_one_are_refused(
    store: Store, tmp_path: Path, other: str
) -> None:
    """The second would be written over the first, and its tensors would be gone without a word."""
    there = tmp_path / "two"
    there.mkdir()
    for name in ("pytorch_model.bin", other):
        (there / name).write_bytes(b"x")
    with pytest.raises(NotAdmitted, match="would become one file"):
        store.add_pickle(there, name="p", licence="MIT")


def test_what_calls_something_is_refused_by_name(store: Store, tmp_path: Path, sink: Any) -> None:
    """And the log has the refusal."""
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(NotAdmitted, match=r"evil[.]bin: .*Unpickl"):
        store.add_pickle(tmp_path / "evil.bin", name="p")
    assert sink.records[-1] == {
        "type": "weights.refuse",
        "name": "p",
        "kind": "pickle",
        "code": "not_admitted",
    }


def test_a_folder_without_pickles_is_refused(store: Store, tiny: Path) -> None:
    """It wants `import`."""
    with pytest.raises(NotAdmitted, match="no pickle"):
        store.add_pickle(tiny, name="p")


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"x", b'{"scans": [{"verdict": "fine"}]}', b'{"error": "a\\u001b[2J"}']
)
def test_a_process_that_lies_is_not_believed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """It held a stranger's file; what it says is a stranger's word."""
    (tiny / "a.bin").write_bytes(b"")
    done = subprocess.CompletedProcess([], 0, said, b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(Exception, match=r"tiny|scanner") as caught:
        convert.convert(tiny, tmp_path)
    assert str(caught.value).isprintable()


def test_a_scanner_s_dangerous_ends_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is loaded."""
    (tiny / "a.bin").write_bytes(b"")
    scan = {"scanner": "picklescan", "version": "1", "verdict": "dangerous"}
    calls: list[str] = []

    def child(what: str, *_: Path) -> dict[str, Any]:
        calls.append(what)
        return {"scans": [scan]}

    monkeypatch.setattr(convert, "_child", child)
    with pytest.raises(NotAdmitted, match="picklescan 1 calls"):
        convert.convert(tiny, tmp_path)
    assert calls == ["scan"]


AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
NO_MORE = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"'


@pytest.mark.parametrize(
    ("become", "message"),
    [
        (AS_USER, ""),
        (("sh", "-ec", NO_MORE, "sh"), "grants no network namespace"),
    ],
    ids=["with user namespaces", "without"],
)
def test_it_needs_no_root_but_user_namespaces(
    store: Store, pickled: Path, become: tuple[str, ...], message: str
) -> None:
    """A process without any capability makes its walls by a namespace of its own; where the kernel
    grants it none, nothing is opened, and the hint says which setting it is."""
    root = ("unshare", "--map-root-user")
    if subprocess.run([*root, *AS_USER, "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    command = [sys.executable, "-m", "sovereign", "weights", "convert", str(pickled)]
    command += ["--name", "p", "--licence", "MIT", "--store", str(store.root)]
    done = subprocess.run([*root, *become, *command], capture_output=True, text=True, check=False)
    if not message:
        assert done.returncode == 0, done.stderr
        assert Store(store.root, store.root / "sovereign.lock").get("p")
        return
    assert done.returncode == 1
    assert message in done.stderr
    assert "user.max_user_namespaces" in done.stderr
    assert not (store.root / "sovereign.lock").exists()
