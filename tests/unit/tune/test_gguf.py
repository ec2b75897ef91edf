"""GGUF is written by llama.cpp's script, closed off, and counts only if it reads back the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sovereign.errors import TuneError
from sovereign.tune.gguf import write

FINDS_OUT = """
import socket, sys
out = sys.argv[sys.argv.index("--outfile") + 1]
{attempt}
open(out, "wb").write(b"GGUF and nothing else")
"""


def script(folder: Path, attempt: str = "") -> Path:
    (folder / "tool").mkdir()
    file = folder / "tool" / "convert_hf_to_gguf.py"
    file.write_text(FINDS_OUT.format(attempt=attempt))
    return file


def test_without_a_converter_it_says_where_to_get_one(tmp_path: Path) -> None:
    """Nothing is written that nobody's loader was made with."""
    for named in (None, tmp_path / "nowhere.py"):
        with pytest.raises(TuneError, match=r"needs llama\.cpp") as e:
            write(tmp_path, tmp_path / "m.gguf", named, dtype="bfloat16")
        assert "convert_hf_to_gguf.py" in (e.value.hint or "")


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "open('{outside}', 'w')",
        "__import__('os').system('true') and exit(3)",
    ],
    ids=["network", "another folder", "a program"],
)
def test_the_converter_reaches_nothing(tmp_path: Path, attempt: str) -> None:
    """It is somebody else's script, run on a model that learnt a team's records."""
    outside = tmp_path / "outside"
    file = script(tmp_path, attempt.replace("{outside}", str(outside)))
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(TuneError, match="does not take this model"):
        write(model, tmp_path / "m.gguf", file, dtype="bfloat16")
    assert not outside.exists()
    assert not (tmp_path / "m.gguf").exists()


def test_what_cannot_be_read_back_is_not_kept(tmp_path: Path) -> None:
    """A converter that ends well and wrote rubbish."""
    pytest.importorskip("transformers")
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(TuneError, match="cannot be read back"):
        write(model, tmp_path / "m.gguf", script(tmp_path), dtype="float32")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "tool"]


@pytest.mark.skipif("LLAMA_CPP" not in os.environ, reason="LLAMA_CPP names no llama.cpp checkout")
@pytest.mark.model
def test_llama_cpps_own_converter_and_the_real_model(model_store: object, tmp_path: Path) -> None:
    """Logits read back are those of the folder, to the bit; tokenizer and template too."""
    from sovereign.weights.store import Store

    assert isinstance(model_store, Store)
    folder = model_store.folder(model_store.entry("smollm2-135m-instruct"))
    converter = Path(os.environ["LLAMA_CPP"]) / "convert_hf_to_gguf.py"
    assert write(folder, tmp_path / "m.gguf", converter, dtype="bfloat16") == 0.0
    assert (tmp_path / "m.gguf").stat().st_size > 2e8
