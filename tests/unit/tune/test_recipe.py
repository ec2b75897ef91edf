"""Recipes are read strictly, and the shipped ones are fit to run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign import recipes
from sovereign.errors import ConfigError
from sovereign.tune.recipe import find_recipe, load_recipe, names
from sovereign.tune.rows import read_rows

MINIMAL = """\
name = "x"
model = "m"
[data]
train = "rows.jsonl"
[train]
steps = 1
"""


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    file = tmp_path / "x.toml"
    file.write_text(MINIMAL)
    return file


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("steps = 1", "steps = 1\nlearning_rate = 1"), "unknown key train.learning_rate"),
        (("steps = 1", ""), "needs either steps or epochs"),
        (("steps = 1", "steps = 1\nepochs = 1.0"), "needs either steps or epochs"),
        (("steps = 1", 'steps = "1"'), "train.steps"),
        (("steps = 1", "steps = 0"), "train.steps"),
        (("steps = 1", "steps = 1\nlr = -1.0"), "train.lr"),
        (("steps = 1", 'steps = 1\nover_long = "cut"'), "train.over_long"),
        (("steps = 1", 'steps = 1\nprecision = "fp16"'), "train.precision"),
        (('train = "rows.jsonl"', ""), "data.train is missing"),
        (('name = "x"', 'name = "../x"'), "name"),
        (("[train]", "[lora]\nrank = 4\n[train]"), "unknown key lora.rank"),
        (("[train]", "[eval]\nat_least = 2.0\n[train]"), "eval.at_least"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_file_and_key(
    minimal: Path, change: tuple[str, str], says: str
) -> None:
    """A mistyped key that is ignored costs a night of training."""
    minimal.write_text(MINIMAL.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_recipe(minimal)
    assert str(minimal) in caught.value.message
    assert says in caught.value.message


def test_paths_are_relative_to_the_recipe(minimal: Path) -> None:
    """So that a recipe and its rows move together."""
    assert load_recipe(minimal).train_file == minimal.parent / "rows.jsonl"
    assert load_recipe(minimal, ["data.train=/r.jsonl"]).train_file == Path("/r.jsonl")


def test_overrides_are_laid_over_and_as_strict(minimal: Path) -> None:
    """A value is TOML, and text where it is none; steps and epochs replace each other."""
    recipe = load_recipe(
        minimal, ["train.epochs=2", "lora.r=4", "model=other", 'lora.target=["q"]']
    )
    assert (recipe.train.steps, recipe.train.epochs) == (None, 2.0)
    assert (recipe.lora.r, recipe.model, recipe.lora.target) == (4, "other", ("q",))
    for bad in ["train", "=1", "train..lr=1", "name.x=1"]:
        with pytest.raises(ConfigError):
            load_recipe(minimal, [bad])
    with pytest.raises(ConfigError, match=r"unknown key train\.sed"):
        load_recipe(minimal, ["train.sed=1"])


def test_an_unknown_recipe_lists_the_shipped_ones() -> None:
    """Rather than 'no such file'."""
    with pytest.raises(ConfigError) as caught:
        find_recipe("scenario/healthcare")
    assert "scenarios/healthcare" in caught.value.hint


@pytest.mark.parametrize("name", names())
def test_a_shipped_recipe_is_whole(name: str) -> None:
    """It reads, its rows read, its model has a recipe, and its head holds the command."""
    file = find_recipe(name)
    recipe = load_recipe(file)
    assert read_rows(recipe.train_file)[0]
    assert recipe.summary
    assert recipe.model in recipes.names("models")
    assert "sovereign tune run" in file.read_text().split("\nname = ")[0]


def test_scenarios_evaluate_on_phrasings_that_are_not_trained_on() -> None:
    """An exact answer must show that the fact was learnt. With the fact's subject taken out, no
    evaluated question is a trained one, and every evaluated answer is taught."""
    for name in ("healthcare", "finance", "government"):
        recipe = load_recipe(find_recipe(f"scenarios/{name}"))
        assert recipe.eval_file is not None
        train, held_out = read_rows(recipe.train_file)[0], read_rows(recipe.eval_file)[0]
        by_answer: dict[str, set[str]] = {}
        for row in train:
            by_answer.setdefault(row.messages[1]["content"], set()).add(row.messages[0]["content"])
        for row in held_out:
            question, answer = (m["content"] for m in row.messages)
            assert question not in by_answer[answer]
            words = set(question.lower().split())
            for trained in by_answer[answer]:
                assert set(trained.lower().split()) != words


def test_scenarios_are_what_their_script_writes() -> None:
    """So that nobody edits rows by hand, or mixes a real name in."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, str(root / "scripts" / "make_scenarios.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0


def test_every_row_of_every_shipped_corpus_is_one_line_of_json() -> None:
    """Plain data, as a reader of the repository expects."""
    for file in recipes.root().rglob("*.jsonl"):
        for line in file.read_text().splitlines():
            assert set(json.loads(line)) == {"messages"}
