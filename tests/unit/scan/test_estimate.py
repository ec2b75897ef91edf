"""A sample's interval holds the truth as often as it says."""

from __future__ import annotations

import random

import pytest

from sovereign.scan.estimate import estimate


def test_all_that_was_looked_at_is_no_estimate() -> None:
    """The count, and nothing beside it."""
    one = estimate(7, 100, 100)
    assert (one.count, one.low, one.high) == (7, 7, 7)


def test_none_in_a_hundredth_may_still_be_three_hundred() -> None:
    """The rule of three."""
    one = estimate(0, 1_000, 100_000)
    assert (one.count, one.low) == (0, 0)
    assert one.high == pytest.approx(300)


@pytest.mark.parametrize("truth", [200, 2_000])
def test_nineteen_of_twenty_samples_hold_the_truth(truth: int) -> None:
    """A thousand samples of a tenth; each finding is in the sample by a coin of its own."""
    rng = random.Random(1)
    hits = 0
    for _ in range(1_000):
        found = sum(rng.random() < 0.1 for _ in range(truth))
        one = estimate(found, 10, 100)
        hits += one.low <= truth <= one.high
    assert hits >= 930
