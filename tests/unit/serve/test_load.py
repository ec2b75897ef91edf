"""Percentiles and levels of a load test, without a server."""

from __future__ import annotations

import itertools
import math

import pytest

from sovereign.serve.load import Answered, level, percentile


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)]
)
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    """By nearest rank: nothing that nobody waited for."""
    assert percentile([float(v) for v in range(100, 0, -1)], share) == value


def test_of_nothing_there_is_no_percentile() -> None:
    """Not zero, which would be the best of all."""
    assert math.isnan(percentile([], 0.5))


def test_each_request_is_made_once_whoever_makes_it() -> None:
    """And rates are of whole answers alone, over the time of all."""
    seen: list[int] = []

    def one(number: int) -> Answered:
        seen.append(number)
        return Answered(tokens=10) if number % 2 else Answered(failed="status 503")

    found = level(4, 20, one, itertools.count().__next__)
    assert sorted(seen) == list(range(20))
    assert len(found.answers) == 20
    assert found.failures == {"status 503": 10}
    assert found.rate == 100 / found.seconds
