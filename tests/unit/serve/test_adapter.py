"""An adapter is served only as it was written, and only on the weights it was trained on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import ServeError
from sovereign.serve.adapter import check

BASE = "ab" * 32
FILES = {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    listed = [{"path": n, "sha256": hashlib.sha256(d).hexdigest()} for n, d in FILES.items()]
    record = {"base": {"digest": BASE}, "adapter": {"digest": "cd" * 32, "files": listed}}
    (tmp_path / "sovereign.json").write_text(json.dumps(record))
    return tmp_path


def test_an_adapter_as_it_was_written_passes(adapter: Path) -> None:
    """And its digest goes on record."""
    assert check(adapter, BASE) == "cd" * 32


def test_another_base_is_refused(adapter: Path) -> None:
    """It would load, and answer nonsense."""
    with pytest.raises(ServeError, match="was trained on weights abababababab"):
        check(adapter, "ef" * 32)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(adapter: Path, name: str) -> None:
    """In the weights, or in the configuration, whose alpha scales them."""
    (adapter / name).write_bytes(FILES[name] + b" ")
    with pytest.raises(ServeError, match=name):
        check(adapter, BASE)


def test_a_missing_file_is_refused(adapter: Path) -> None:
    """By name."""
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ServeError, match="adapter_model"):
        check(adapter, BASE)


@pytest.mark.parametrize(
    "record",
    [
        None,
        "{",
        "[]",
        {"base": "x"},
        {"base": {}},
        {"base": {"digest": BASE}},
        {"base": {"digest": BASE}, "adapter": {"digest": "x", "files": []}},
    ],
    ids=repr,
)
def test_an_adapter_without_a_whole_record_is_refused(adapter: Path, record: Any) -> None:
    """Nobody knows what it belongs to."""
    file = adapter / "sovereign.json"
    if record is None:
        file.unlink()
    else:
        file.write_text(record if isinstance(record, str) else json.dumps(record))
    with pytest.raises(ServeError, match=r"sovereign\.json"):
        check(adapter, BASE)
