"""The bill of materials, held to CycloneDX's own schema by another's validator. SPDX is held to its
own in tests/e2e/test_clients_weights.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sovereign.errors import NotVerified
from sovereign.weights import passport
from sovereign.weights.bom import bom
from sovereign.weights.described import Description, describe
from sovereign.weights.spdx import spdx
from sovereign.weights.store import Store

ROWS = "5" * 64
CONFIG = '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'


@pytest.fixture
def made(tmp_path: Path) -> Store:
    """``tiny``, a model with a configuration, and ``adapter``, with base and passport."""
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    raw = len(header).to_bytes(8, "little") + header + b"abcd"
    rows = {"train": {"sha256": ROWS}, "eval": None}
    statement = passport.statement({"data": rows}, ())
    files: dict[str, dict[str, bytes]] = {
        "tiny": {"config.json": CONFIG.encode(), "model.safetensors": raw},
        "adapter": {
            "adapter_config.json": b'{"base_model_name_or_path": "clinic/tiny"}',
            "adapter_model.safetensors": raw,
            "passport.json": passport.seal(statement, Ed25519PrivateKey.generate()),
        },
    }
    store = Store(tmp_path / "store", tmp_path / "sovereign.lock")
    for name, contents in files.items():
        source = tmp_path / name
        source.mkdir()
        for path, data in contents.items():
            (source / path).write_bytes(data)
        store.add_folder(source, name=name, licence="MIT" if name == "tiny" else "unknown")
    return store


def said(store: Store, name: str) -> Description:
    return describe(store.entry(name), store.folder(store.entry(name)))


def bill(store: Store, name: str) -> bytes:
    return bom(store.entry(name), said(store, name))


@pytest.mark.parametrize("name", ["tiny", "adapter"])
def test_it_is_valid_cyclonedx_1_7_and_names_every_file(made: Store, name: str) -> None:
    """Strictly: no field that the schema does not know."""
    raw = bill(made, name)
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(raw.decode()) is None
    model = json.loads(raw)["components"][0]
    assert model["type"] == "machine-learning-model"
    assert [f["name"] for f in model["components"]] == [f.path for f in made.entry(name).files]
    assert all(len(f["hashes"][0]["content"]) == 64 for f in model["components"])


def test_the_model_card_says_what_the_files_say(made: Store) -> None:
    """Architecture from the configuration; of an adapter its base, and the rows of its passport."""
    (model,) = json.loads(bill(made, "tiny"))["components"]
    assert model["modelCard"]["modelParameters"] == {
        "architectureFamily": "llama",
        "modelArchitecture": "LlamaForCausalLM",
    }
    adapter, rows = json.loads(bill(made, "adapter"))["components"]
    assert adapter["pedigree"]["ancestors"][0]["name"] == "clinic/tiny"
    assert adapter["modelCard"]["modelParameters"] == {"datasets": [{"ref": rows["bom-ref"]}]}
    assert (rows["name"], rows["hashes"][0]["content"]) == ("train", ROWS)


def test_a_file_that_is_not_what_the_lock_says_is_not_quoted(made: Store) -> None:
    """A bill of changed files would be a lie under our name."""
    config = made.folder(made.entry("tiny")) / "config.json"
    config.chmod(0o644)
    config.write_text(CONFIG.replace("llama", "mamba"))
    with pytest.raises(NotVerified, match=r"config\.json: was changed"):
        said(made, "tiny")


@pytest.mark.parametrize("config", ['{"model_type": 7, "architectures": "x"}', "[1]", "{}"])
def test_a_configuration_of_another_shape_says_nothing(tmp_path: Path, config: str) -> None:
    """It is admitted, and there is nothing to quote."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(config)
    (source / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}")
    store = Store(tmp_path / "store", tmp_path / "sovereign.lock")
    store.add_folder(source, name="tiny")
    assert said(store, "tiny") == Description()
    assert "modelCard" not in bill(store, "tiny").decode()


def test_the_validator_would_find_a_mistake(made: Store) -> None:
    """So that the test above can fail."""
    wrong = json.loads(bill(made, "adapter"))
    assert not wrong["components"][0]["licenses"]
    wrong["components"][0]["invented"] = 1
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(json.dumps(wrong)) is not None


def test_the_same_weights_have_the_same_bill(made: Store) -> None:
    """No time, no chance: it can be compared, and signed. SPDX wants the time, and no more."""
    assert bill(made, "tiny") == bill(made, "tiny")
    entry, told = made.entry("tiny"), said(made, "tiny")
    first, second = (
        spdx(entry, told, datetime(2026, 1, day, tzinfo=UTC)).decode() for day in (1, 2)
    )
    assert first != second
    assert first.replace("2026-01-01T", "2026-01-02T") == second


def test_spdx_names_what_cyclonedx_names(made: Store) -> None:
    """The model, its files, licence, base and rows, and how they belong together."""
    graph = json.loads(
        spdx(made.entry("adapter"), said(made, "adapter"), datetime(2026, 1, 1, tzinfo=UTC))
    )["@graph"]
    names = {e["spdxId"]: e["name"] for e in graph if "name" in e}
    told = {
        (names[e["from"]], e["relationshipType"], *(names[t] for t in e["to"]))
        for e in graph
        if e["type"] == "Relationship"
    }
    assert told == {
        ("adapter", "contains", *(f.path for f in made.entry("adapter").files)),
        ("adapter", "descendantOf", "clinic/tiny"),
        ("adapter", "trainedOn", "train"),
    }
