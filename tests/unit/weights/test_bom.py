"""The bill of materials, held to CycloneDX's own schema by another's validator."""

from __future__ import annotations

import json
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sovereign.weights.bom import bom
from sovereign.weights.store import Store


def _entry(root: Path, licence: str) -> bytes:
    source = root / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    raw = len(header).to_bytes(8, "little") + header + b"abcd"
    (source / "model.safetensors").write_bytes(raw)
    store = Store(root / "store", root / "sovereign.lock")
    store.add_folder(source, name="tiny", licence=licence)
    return bom(store.entry("tiny"))


def test_it_is_valid_cyclonedx_1_7_and_names_every_file(tmp_path: Path) -> None:
    """Strictly: no field that the schema does not know."""
    made = _entry(tmp_path, "MIT")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(made.decode()) is None
    (model,) = json.loads(made)["components"]
    assert model["type"] == "machine-learning-model"
    assert [f["name"] for f in model["components"]] == ["config.json", "model.safetensors"]
    assert all(len(f["hashes"][0]["content"]) == 64 for f in model["components"])


def test_the_validator_would_find_a_mistake(tmp_path: Path) -> None:
    """So that the test above can fail."""
    wrong = json.loads(_entry(tmp_path, "unknown"))
    assert not wrong["components"][0]["licenses"]
    wrong["components"][0]["invented"] = 1
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(json.dumps(wrong)) is not None


def test_the_same_weights_have_the_same_bill(tmp_path: Path) -> None:
    """No time, no chance: it can be compared, and signed."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert _entry(tmp_path / "a", "MIT") == _entry(tmp_path / "b", "MIT")
