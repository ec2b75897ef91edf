"""Rows in one line are the same rows: what is learnt, and when a line is worth it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sovereign.tune.data import IGNORED, Example
from sovereign.tune.loss import _line, packs, worth_packing

torch = pytest.importorskip("torch")


def test_positions_begin_again_and_no_row_learns_the_beginning_of_the_next() -> None:
    """The last token of a row would otherwise be taught to go on with another person's record."""
    rows = (Example(1, (5, 6, 7), (5, 6, 7)), Example(2, (8, 9), (8, 9)))
    inputs, targets = _line(rows)
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert targets.tolist() == [[6, 7, IGNORED, 9]]
    assert "attention_mask" not in inputs


@pytest.mark.parametrize(
    ("lengths", "worth"),
    [([30, 40, 50, 90], True), ([40, 400], True), ([60] * 4, False), ([2048, 2000], False)],
)
def test_rows_of_one_length_stay_side_by_side(lengths: list[int], worth: bool) -> None:
    """Nothing is padding there, and attention over the line would look at every pair of rows."""
    assert worth_packing(lengths) is worth


@pytest.mark.parametrize(("kind", "may"), [("llama", True), ("mamba2", False), ("lfm2", False)])
def test_a_model_that_was_not_shown_to_keep_rows_apart_is_not_packed(kind: str, may: bool) -> None:
    """A state that is carried from token to token does not begin again with the positions."""
    model: Any = SimpleNamespace(config=SimpleNamespace(model_type=kind))
    assert packs(model) is may
