"""The plan of batches: complete, even, and the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.tune.batches import passes, plan, room, steps_of


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=60),
    batch=st.integers(1, 9),
    batches=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_row_comes_equally_often(
    lengths: list[int], batch: int, batches: int, seed: int
) -> None:
    """Full batches only, and no row is two ahead of another."""
    found = plan(lengths, batch=batch, batches=batches, seed=seed)
    assert [len(b) for b in found] == [batch] * batches
    assert found == plan(lengths, batch=batch, batches=batches, seed=seed)
    seen = Counter(i for b in found for i in b)
    counts = [seen[i] for i in range(len(lengths))]
    assert max(counts) - min(counts) <= 2


def test_rows_of_like_length_share_a_batch() -> None:
    """Padding is work for nothing."""
    lengths = [10, 200] * 32
    found = plan(lengths, batch=4, batches=16, seed=1)
    padded = sum(max(lengths[i] for i in b) * len(b) for b in found)
    assert padded < 1.1 * sum(lengths)


def test_another_seed_is_another_order() -> None:
    """Or the seed would decide nothing."""
    assert plan([1] * 50, batch=5, batches=10, seed=1) != plan(
        [1] * 50, batch=5, batches=10, seed=2
    )


@pytest.mark.parametrize(
    ("steps", "epochs", "wanted"), [(7, None, 7), (None, 2.0, 3), (None, 0.01, 1)]
)
def test_epochs_become_steps(steps: int | None, epochs: float | None, wanted: int) -> None:
    """Rounded up: the last rows are seen too."""
    assert steps_of(10, 8, steps=steps, epochs=epochs) == wanted


@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=60), batch=st.integers(1, 9))
def test_no_pass_is_wider_than_its_room_and_none_loses_a_row(
    lengths: list[int], batch: int
) -> None:
    """Each row once, in order; a row has a pass, however long it is."""
    most = room(lengths, batch)
    chosen = sorted(lengths)[-batch:]
    parts = [chosen[part] for part in passes(chosen, most)]
    assert [length for part in parts for length in part] == chosen
    assert all(part and max(part) * len(part) <= most for part in parts)


def test_rows_of_one_length_are_never_cut_and_the_longest_of_ragged_ones_are() -> None:
    """Or every step would pay for the few that are long."""
    assert passes([60] * 8, room([60] * 100, 8)) == [slice(0, 8)]
    ragged = [20] * 90 + [200] * 10
    assert len(passes([200] * 8, room(ragged, 8))) == 4
    assert len(passes([20] * 8, room(ragged, 8))) == 1
