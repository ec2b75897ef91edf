"""What a run refuses before it loads anything; tests/e2e/test_tune_run.py has the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import TuneError
from sovereign.tune.recipe import load_recipe
from sovereign.tune.run import run
from sovereign.weights.store import Store

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.mark.parametrize(
    ("override", "match"),
    [("eval.at_least=0.8", "no rows to ask"), ("eval.every=5", "no rows to look at")],
)
def test_a_bar_that_nothing_is_held_against_is_an_error(
    jsonl: Any, tmp_path: Path, override: str, match: str
) -> None:
    """Without held-out rows, a threshold would be passed by everything."""
    jsonl({"prompt": "Where is Ward 7?", "completion": "Level 2"})
    file = tmp_path / "r.toml"
    file.write_text('name = "r"\nmodel = "m"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 1\n')
    store = Store(tmp_path / "store", tmp_path / "store.lock")
    with pytest.raises(TuneError, match=match):
        run(load_recipe(file, [override]), store, tmp_path / "out", key=KEY)
    assert not (tmp_path / "out").exists()
