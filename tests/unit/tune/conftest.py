"""A template without a tokenizer, and rows as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from families import make_base

from sovereign.tune.rows import Message
from sovereign.weights.store import Store

END = 1


class Letters:
    """A template whose tokens are letters: role letter, text, and chr(1) as the end token."""

    stops = frozenset({END})
    controls = ("\x01",)

    def render(
        self, messages: Sequence[Message], *, prompt: bool, tools: Sequence[Any] = ()
    ) -> str:
        text = "".join(f"{m['role'][0]}:{m['content']}\x01\n" for m in messages)
        return text + ("a:" if prompt else "")

    def tokens(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def document(self, text: str) -> list[int]:
        return [*self.tokens(text), END]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Holds ``tiny``, a model with random weights and a template in ChatML."""
    root = tmp_path_factory.mktemp("store")
    made = Store(root / "store", root / "store.lock")
    made.add_folder(make_base("chatml", root / "base"), name="tiny")
    return made


@pytest.fixture(scope="session")
def letters() -> Letters:
    return Letters()


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: Any, name: str = "rows.jsonl") -> Path:
        file = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        file.write_text("".join(line + "\n" for line in lines))
        return file

    return write
