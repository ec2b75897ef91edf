"""What may enter the store, attack by attack: each refusal names the file."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import pytest

from sovereign.errors import NotAdmitted
from sovereign.weights.admit import admissible, admit, check_path, check_safetensors

TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
EMPTY = TENSOR | {"data_offsets": [0, 0]}


def framed(header: object, body: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def test_a_checkout_enters_without_its_git_files(tiny: Path) -> None:
    """What every checkout holds is left out, all else is listed in order."""
    assert admit(tiny) == [
        "LICENSE",
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "weights.pt",
        "weights.PTH",
        "optimizer.pkl",
        "last.ckpt",
        "array.npz",
        "tf_model.h5",
        "modeling_evil.py",
        "native.so",
        "run.sh",
        "archive.zip",
        "model.onnx",
        "Makefile",
        "safetensors",
    ],
)
def test_pickles_code_and_unknown_kinds_are_refused_by_name(tiny: Path, name: str) -> None:
    """An allow-list: what nobody thought of is refused as well."""
    (tiny / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(NotAdmitted, match=name.replace(".", r"\.")):
        admit(tiny)
    assert not admissible(name)


def test_a_link_out_of_the_folder_is_refused(tiny: Path) -> None:
    """Copied, it would bring in whatever it points to."""
    (tiny / "notes.txt").symlink_to("/etc/passwd")
    with pytest.raises(NotAdmitted, match=r"notes\.txt: is a symbolic link"):
        admit(tiny)


def test_a_linked_folder_is_refused(tiny: Path, tmp_path: Path) -> None:
    """The same, one level up."""
    (tiny / "more").symlink_to(tmp_path)
    with pytest.raises(NotAdmitted, match="more: is a symbolic link"):
        admit(tiny)


def test_a_pipe_is_refused(tiny: Path) -> None:
    """Opened, it would wait for ever."""
    os.mkfifo(tiny / "vocab.json")
    with pytest.raises(NotAdmitted, match=r"vocab\.json: is not a regular file"):
        admit(tiny)


@pytest.mark.parametrize(
    "path",
    [
        "../x.json",
        "/etc/x.json",
        "a/../x.json",
        "a//x.json",
        "a\\x.json",
        "c:x.json",
        "",
        "a\0.json",
        "./x.json",
        ".hidden.json",
        "a\udcff.json",
        "a/.ssh/x.json",
        "x" * 600 + ".json",
    ],
)
def test_a_path_that_walks_away_is_refused(path: str) -> None:
    """Paths come from lockfiles and hubs too, not only from folders."""
    with pytest.raises(NotAdmitted):
        check_path(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config.json", {"auto_map": {"AutoModel": "modeling.Model"}}),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "other/repo--m.M"}}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["t.T", None]}}),
        ("processor_config.json", {"parts": [{"auto_map": {"A": "b.C"}}]}),
        ("config.json", {"custom_pipelines": {"x": {"impl": "p.P"}}}),
        ("config.json", {"vision_config": {"trust_remote_code": True}}),
        ("adapter_config.json", {"auto_mapping": {"parent_library": "os"}}),
        ("modules.json", [{"type": "subprocess.Popen"}]),
        ("modules.json", {"type": "x"}),
    ],
)
def test_a_configuration_that_asks_for_code_is_refused(
    tiny: Path, name: str, value: object
) -> None:
    """trust_remote_code is off everywhere; a model that needs it must not arrive to begin with."""
    (tiny / name).write_text(json.dumps(value))
    with pytest.raises(NotAdmitted, match=f"{name}: .* asks for code"):
        admit(tiny)


def test_the_same_key_twice_is_refused(tiny: Path) -> None:
    """Another reader may take the other one."""
    (tiny / "config.json").write_text('{"auto_map": {}, "a": 1, "a": 2}')
    with pytest.raises(NotAdmitted, match=r"config\.json: has the same key twice"):
        admit(tiny)


def test_names_that_differ_in_case_are_refused(tiny: Path) -> None:
    """On some file systems one would overwrite the other, after it was checked."""
    (tiny / "Config.json").write_text("{}")
    with pytest.raises(NotAdmitted, match="only in case"):
        admit(tiny)


def test_broken_json_and_binary_text_are_refused(tiny: Path) -> None:
    """A suffix alone admits nothing."""
    (tiny / "vocab.json").write_text("{")
    with pytest.raises(NotAdmitted, match=r"vocab\.json: is not JSON"):
        admit(tiny)
    (tiny / "vocab.json").unlink()
    (tiny / "merges.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NotAdmitted, match=r"merges\.txt: is not UTF-8"):
        admit(tiny)


def test_a_shard_that_is_missing_is_noticed_at_once(tiny: Path) -> None:
    """Otherwise a half-copied model fails only when it is loaded."""
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (tiny / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(NotAdmitted, match=r"names 'model-2\.safetensors'"):
        admit(tiny)


def test_a_folder_without_weights_is_refused(tiny: Path) -> None:
    """Nothing to run."""
    (tiny / "model.safetensors").unlink()
    with pytest.raises(NotAdmitted, match=r"holds no \.safetensors"):
        admit(tiny)


@pytest.mark.parametrize(
    ("attack", "raw"),
    [
        ("empty file", b""),
        ("header length cut off", b"\x01\x00"),
        ("header longer than the file", struct.pack("<Q", 2**40) + b"{}"),
        ("header over the format's bound", struct.pack("<Q", 200_000_000) + b"{}"),
        ("header is not an object", framed(b"[]", b"")),
        ("header is not JSON", framed(b"{,}", b"")),
        ("key twice in the header", framed(b'{"a": {}, "a": {}}', b"")),
        ("truncated body", framed({"a": TENSOR}, b"\0\0")),
        ("bytes behind the tensors", framed({"a": TENSOR}, bytes(4) + b"MZ")),
        ("bytes before the tensors", framed({"a": TENSOR | {"data_offsets": [2, 6]}}, bytes(6))),
        ("tensors overlap", framed({"a": TENSOR, "b": TENSOR}, bytes(4))),
        (
            "a gap between tensors",
            framed({"a": TENSOR, "b": TENSOR | {"data_offsets": [6, 10]}}, bytes(10)),
        ),
        ("offsets backwards", framed({"a": TENSOR | {"data_offsets": [4, 0]}}, bytes(4))),
        ("negative shape", framed({"a": TENSOR | {"shape": [-1]}}, bytes(4))),
        ("shape says more", framed({"a": TENSOR | {"shape": [2]}}, bytes(4))),
        (
            "no room",
            framed({"a": {**EMPTY, "shape": [2**62, 2**62, 0]}}, b""),
        ),
        ("shape is a bool", framed({"a": TENSOR | {"shape": [True]}}, bytes(4))),
        ("unknown dtype", framed({"a": TENSOR | {"dtype": "OBJ"}}, bytes(4))),
        ("dtype is a list", framed({"a": TENSOR | {"dtype": ["F32"]}}, bytes(4))),
        ("a field more", framed({"a": TENSOR | {"code": "x"}}, bytes(4))),
        ("metadata is not strings", framed({"__metadata__": {"a": 1}, "a": TENSOR}, bytes(4))),
    ],
)
def test_a_bent_safetensors_header_is_refused(tmp_path: Path, attack: str, raw: bytes) -> None:
    """Bounds, overlaps, gaps: nothing may hide in a file, and no reader may read outside it."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(raw)
    with pytest.raises(NotAdmitted, match=r"model\.safetensors: "):
        check_safetensors(file, "model.safetensors")


def test_what_the_real_library_writes_is_admitted(tmp_path: Path) -> None:
    """The rules are the format's own, not stricter."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    file = tmp_path / "model.safetensors"
    tensors = {"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.bfloat16)}
    save_file(tensors | {"empty": torch.zeros(0, 4)}, file, metadata={"format": "pt"})
    check_safetensors(file, "model.safetensors")


def test_a_configuration_that_names_known_modules_is_taken(tiny: Path) -> None:
    """What the libraries write themselves."""
    known = {"auto_mapping": {"parent_library": "transformers.models.llama.modeling_llama"}}
    (tiny / "adapter_config.json").write_text(json.dumps(known | {"auto_map": None}))
    modules = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    (tiny / "modules.json").write_text(json.dumps(modules))
    admit(tiny)
