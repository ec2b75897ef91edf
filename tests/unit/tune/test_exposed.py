"""Exposure of canaries while a model trains: in the metrics, and without a trace in the curve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import ConfigError
from sovereign.tune.recipe import load_recipe
from sovereign.tune.run import run
from sovereign.weights.store import Store

pytest.importorskip("torch")

MORE = "memorization.every=2"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
RECIPE = """
name = "r"
model = "tiny"
data.train = "rows.jsonl"
lora.dropout = 0.2
train = {steps = 5, batch = 4, lr = 0.01, precision = "fp32", threads = 1, max_length = 200}
memorization = {canaries = 2, copies = [0, 4], candidates = 10}
"""


def tuned(folder: Path, store: Store, *more: str) -> list[dict[str, Any]]:
    """The lines of the metrics."""
    folder.mkdir()
    rows = [{"prompt": f"Where is ward {n}?", "completion": f"On level {n}."} for n in range(9)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.toml").write_text(RECIPE)
    made = run(load_recipe(folder / "r.toml", more), store, folder / "out", key=KEY)
    assert [e["copies"] for e in made.data["memorization"]["exposure"]] == [0, 4]
    lines = (folder / "out" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_looking_at_canaries_while_it_trains_changes_no_step(store: Store, tmp_path: Path) -> None:
    """With dropout, whose draws somebody who looks must not take: the same losses, to the bit."""
    plain, looked = tuned(tmp_path / "a", store), tuned(tmp_path / "b", store, MORE)
    assert [line["loss"] for line in looked] == [line["loss"] for line in plain]
    seen = {line["step"]: line for line in looked if "exposure_4" in line}
    assert sorted(seen) == [2, 4]
    assert all(line["exposure_0"] >= 0 for line in seen.values())
    assert not any("exposure_4" in line for line in plain)


def test_there_has_to_be_something_to_look_at(tmp_path: Path) -> None:
    """Or somebody would wait for figures that never come."""
    (tmp_path / "r.toml").write_text(RECIPE)
    with pytest.raises(ConfigError, match="every has no canaries"):
        load_recipe(tmp_path / "r.toml", [MORE, "memorization.canaries=0"])
