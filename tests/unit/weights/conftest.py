"""A model of a few bytes that the store admits, and a sink that remembers."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sovereign.types import Receipt
from sovereign.weights.store import Store


def safetensors(tensors: Mapping[str, tuple[str, list[int], bytes]]) -> bytes:
    """A safetensors file, written by hand so that tests can bend it."""
    header: dict[str, Any] = {}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    return framed(header, body)


def framed(header: Any, body: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


GOOD = safetensors({"a": ("F32", [2, 2], bytes(16)), "b": ("BF16", [3], bytes(6))})


class Memory:
    """A sink that keeps what it got."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def submit(self, record: Mapping[str, Any]) -> Future[Receipt]:
        self.records.append(dict(record))
        done: Future[Receipt] = Future()
        done.set_result(Receipt(len(self.records) - 1, bytes(32)))
        return done


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder as a checkout of a model repository has it."""
    folder = tmp_path / "tiny"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / ".gitattributes").write_text("*")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "LICENSE").write_text("Apache")
    (folder / "model.safetensors").write_bytes(GOOD)
    return folder


@pytest.fixture
def store(tmp_path: Path, sink: Memory) -> Store:
    return Store(tmp_path / "store", tmp_path / "sovereign.lock", sink)
