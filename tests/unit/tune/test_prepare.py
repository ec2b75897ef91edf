"""From files to two sides of rows: deduplicated, passed through the gate, and kept apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import ConfigError, TuneError
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.tune.gate import Gate
from sovereign.tune.prepare import prepare
from sovereign.tune.recipe import Recipe, load_recipe


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate.of(load_policy(preset="hipaa"), build("none"), bytes(32))


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    def make(*overrides: str) -> Recipe:
        file = tmp_path / "r.toml"
        file.write_text(
            'name = "r"\nmodel = "m"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 1\n'
        )
        return load_recipe(file, overrides)

    return make


def pair(number: int, group: str | None = None, **more: str) -> dict[str, str]:
    row = {"prompt": f"What is rule {number}?", "completion": f"Rule {number} is {number * 7}."}
    return row | ({"group": group} if group else {}) | more


def test_duplicates_go_and_are_counted_or_are_refused(jsonl: Any, recipe: Any, gate: Gate) -> None:
    """The first stays, with its line; a recipe that cannot have any says so."""
    jsonl(pair(1), pair(2), pair(1, id="again"))
    done = prepare(recipe(), gate)
    assert [r.line for r in done.train] == [1, 2]
    assert done.counts["duplicates"] == 1
    with pytest.raises(TuneError, match="1 rows are there twice"):
        prepare(recipe("data.duplicates=refuse"), gate)


def test_a_patient_is_on_one_side_only(jsonl: Any, recipe: Any, gate: Gate) -> None:
    """Eighty rows of twenty patients: about a quarter is held out, by whole patients, the same ones
    for the same seed and whatever the order of the rows."""
    rows = [pair(i, f"p{i % 20}") for i in range(80)]
    jsonl(*rows)
    done = prepare(recipe("data.eval_share=0.25"), gate)
    sides = {r.group for r in done.train}, {r.group for r in done.held_out}
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 20
    assert 1 <= len(sides[1]) <= 10
    jsonl(*reversed(rows))
    again = prepare(recipe("data.eval_share=0.25"), gate)
    assert {r.group for r in again.held_out} == sides[1]


@pytest.mark.parametrize(
    ("asked", "match"),
    [(pair(9, "p1"), "its group is trained on too"), (pair(1), "is trained on too")],
)
def test_what_is_asked_was_not_learnt(
    jsonl: Any, recipe: Any, gate: Gate, asked: Any, match: str
) -> None:
    """A held-out file that overlaps would flatter the model."""
    jsonl(pair(1, "p1"), pair(2))
    jsonl(asked, name="eval.jsonl")
    with pytest.raises(TuneError, match=rf"eval\.jsonl:1: {match}"):
        prepare(recipe("data.eval=eval.jsonl"), gate)


def test_both_sides_pass_the_gate_and_the_roll_has_the_rows_as_they_were(
    jsonl: Any, recipe: Any, gate: Gate
) -> None:
    """An owner looks for the words that he wrote, whatever the model got in their place."""
    secret = "mail maria.keller@northvale.example"
    jsonl(pair(1) | {"completion": secret}, pair(2))
    jsonl(pair(3) | {"prompt": secret}, name="eval.jsonl")
    both = ["data.eval=eval.jsonl", "private.action=pseudonymize"]
    done = prepare(recipe(*both), gate)
    assert secret not in str([r.messages for r in [*done.train, *done.held_out]])
    assert done.source[0].messages[1]["content"] == secret
    assert secret not in repr(done)
    with pytest.raises(TuneError, match=r"rows\.jsonl: 1 of 2 rows hold personal data"):
        prepare(recipe(), gate)


def test_each_answer_becomes_the_last_of_a_row_of_its_own(
    jsonl: Any, recipe: Any, gate: Gate
) -> None:
    """For templates that show an earlier answer otherwise. The rows are still one on the roll."""
    messages = [
        {"role": role, "content": f"{role} {n}"} for n in (1, 2) for role in ("user", "assistant")
    ]
    jsonl({"messages": messages}, {"text": "A text."})
    done = prepare(recipe("data.turns=each"), gate)
    assert [(r.line, len(r.messages), r.last) for r in done.train] == [
        (1, 2, True),
        (1, 4, True),
        (2, 1, False),
    ]
    assert [r.line for r in done.source] == [1, 2]
    with pytest.raises(ConfigError, match="many rows"):
        recipe("data.turns=each", "privacy.epsilon=8")


def test_two_ways_to_hold_out_are_one_too_many(recipe: Any) -> None:
    """A recipe says one thing."""
    with pytest.raises(ConfigError, match="either eval or eval_share"):
        recipe("data.eval=e.jsonl", "data.eval_share=0.1")


def test_rows_and_passports_are_read_without_torch() -> None:
    """The gateway checks passports, and `tune check` runs on laptops."""
    body = (
        "import sys\nimport sovereign.tune.prepare, sovereign.tune.gate, sovereign.tune.roll\n"
        "import sovereign.weights.passport\n"
        "assert not {'torch', 'transformers', 'peft', 'pyarrow'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", body], check=True)


def test_a_text_passes_the_gate_as_a_chat_does(jsonl: Any, recipe: Any, gate: Gate) -> None:
    """Found, and replaced by a stand-in, in a document too."""
    said = "Write to jane.roe@clinic.example about the results."
    jsonl({"text": said})
    with pytest.raises(TuneError, match="personal data"):
        prepare(recipe(), gate)
    (row,) = prepare(recipe("private.action=pseudonymize"), gate).train
    assert row.is_text
    assert "jane.roe" not in row.messages[0]["content"]
    assert "about the results" in row.messages[0]["content"]
