"""Before anything is trained: who could serve it, and whether this disk holds what is written."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.cli.tune import tune_command
from sovereign.errors import TuneError
from sovereign.tune.recipe import Recipe, find_recipe, load_recipe
from sovereign.tune.servable import disk, served_by
from sovereign.weights.store import Store

Usage = namedtuple("Usage", "total used free")


def recipe(*more: str) -> Recipe:
    return load_recipe(find_recipe("scenarios/healthcare"), more)


@pytest.mark.parametrize(
    ("more", "engine", "how"),
    [
        ([], "transformers", "beside its base"),
        ([], "vllm", "beside its base"),
        ([], "llamacpp", "merged, by `tune export --gguf`"),
        (["lora.kind=dora"], "transformers", "merged, by `tune export`"),
        (["lora.kind=dora"], "vllm", "merged, by `tune export`"),
    ],
)
def test_each_engine_is_named_with_the_form_it_takes(
    more: list[str], engine: str, how: str
) -> None:
    """As `sovereign serve` would refuse it otherwise, after hours of training."""
    assert served_by(recipe(*more))[engine] == how


def test_the_disk_is_counted_with_a_checkpoint_that_takes_another_ones_place() -> None:
    """Weights and two moments, twice; a private run keeps none."""
    assert disk(1000, recipe()) == 28_000
    assert disk(1000, recipe("eval.every=1", "eval.keep=best")) == 36_000
    assert disk(1000, recipe("privacy.epsilon=8")) == 4_000


def test_check_says_both() -> None:
    """For people and for machines."""
    said = CliRunner().invoke(tune_command, ["check", "scenarios/healthcare", "--memory", "8GB"])
    assert "disk: at most 0.14 GB" in said.output
    assert "served by: transformers beside its base; vllm beside its base; llamacpp" in said.output
    words = ["check", "scenarios/healthcare", "--memory", "8GB", "--json"]
    told = json.loads(CliRunner().invoke(tune_command, words).output)
    assert told["disk"] == disk(told["trainable"], recipe())
    assert told["served_by"]["vllm"] == "beside its base"


def test_a_disk_that_is_too_small_is_said_before_training(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `check` and by `run`, which leaves no adapter; not for a machine that is elsewhere."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1, 1, 1))
    said = CliRunner().invoke(tune_command, ["check", "scenarios/healthcare"])
    assert isinstance(said.exception, TuneError)
    assert "a run writes up to 0.14 GB" in said.exception.message
    elsewhere = ["check", "scenarios/healthcare", "--memory", "8GB"]
    assert CliRunner().invoke(tune_command, elsewhere).exit_code == 0
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Where?", "completion": "There."}\n')
    (tmp_path / "r.toml").write_text(
        'name = "r"\nmodel = "tiny"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 1\n'
    )
    from sovereign.tune.run import run

    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    steps = []
    with pytest.raises(TuneError, match="are free"):
        run(
            load_recipe(tmp_path / "r.toml"),
            store,
            tmp_path / "out",
            key=key,
            progress=lambda update: steps.append(update.phase),
        )
    assert "train" not in steps
    assert not (tmp_path / "out" / "adapter").exists()
