"""What becomes of a GGUF: something that trains and serves, with no trace of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sovereign.errors import NotAdmitted, WeightsError
from sovereign.weights.store import Store


@pytest.mark.model
def test_the_converted_model_has_what_training_and_serving_need(model_store: Store) -> None:
    """A pad token that is no end token, a length, a template, one dtype; and no local path."""
    entry = model_store.entry("smollm2-135m-instruct")
    folder = model_store.folder(entry)
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["pad_token_id"] != config["eos_token_id"]
    assert tokenizer["pad_token"] == "<|endoftext|>"
    assert tokenizer["model_max_length"] == config["max_position_embeddings"] == 8192
    assert "<|im_start|>" in (folder / "chat_template.jinja").read_text()
    assert config["dtype"] == "bfloat16"
    assert set(entry.converter) == {"gguf", "torch", "transformers"}
    assert entry.source_sha256 is not None
    for file in folder.glob("*.json"):
        assert str(Path.home()) not in file.read_text()
        assert "_name_or_path" not in file.read_text()


def test_a_file_that_is_no_gguf_is_refused(store: Store, tmp_path: Path) -> None:
    """By its first bytes, before a parser sees it."""
    (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(NotAdmitted, match=r"x\.gguf: not a GGUF"):
        store.add_gguf(tmp_path / "x.gguf", name="x")


def test_a_broken_gguf_is_refused_and_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """The parser's own errors hold offsets and paths; ours names the file."""
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(NotAdmitted, match=r"x\.gguf: transformers cannot read it"):
        store.add_gguf(tmp_path / "x.gguf", name="x")
    assert not (store.root / "x").exists()
    assert list((store.root / ".staging").iterdir()) == []


def test_a_dtype_that_nobody_serves_is_refused(store: Store, tmp_path: Path) -> None:
    """int8 made naively ruins the model."""
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(WeightsError, match="'int8'"):
        store.add_gguf(tmp_path / "x.gguf", name="x", dtype="int8")
