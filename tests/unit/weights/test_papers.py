"""A model's papers are read off its files, and off nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sovereign.weights.lock import Base
from sovereign.weights.papers import is_licence
from sovereign.weights.store import Store
from sovereign.weights.templates import chat_templates


def test_an_adapter_names_its_base_model(store: Store, tiny: Path) -> None:
    """Weights that are nothing without others say which."""
    config = {"base_model_name_or_path": "clinic/base", "revision": "main", "peft_type": "LORA"}
    (tiny / "adapter_config.json").write_text(json.dumps(config))
    assert store.add_folder(tiny, name="a").base == Base("clinic/base", "main")


def test_templates_are_found_in_every_place_that_holds_them(tmp_path: Path) -> None:
    """A template in a place that nobody looks at would be one that nobody checked."""
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "rag.jinja").write_text("a")
    named = {"chat_template": [{"name": "tool", "template": "b"}, {"name": "x"}, 3]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    (tmp_path / "processor_config.json").write_text(json.dumps({"chat_template": "c"}))
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": {"default": "d"}}))
    paths = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.j*")]
    assert chat_templates(tmp_path, paths) == {
        "extra/rag.jinja": "a",
        "tokenizer_config.json#tool": "b",
        "processor_config.json": "c",
        "chat_template.json#default": "d",
    }


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("LICENSE", True),
        ("LICENCE.md", True),
        ("license.txt", True),
        ("sub/LICENSE", False),
        ("LICENSE.json", False),
        ("README.md", False),
    ],
)
def test_what_counts_as_a_licence_text(path: str, is_one: bool) -> None:
    """Only a text in the model's own folder speaks for it."""
    assert is_licence(path) is is_one
