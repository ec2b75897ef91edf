"""The statistics of an audit, against values that were computed with scipy 1.17 and by hand."""

from __future__ import annotations

import pytest

from sovereign.tune.stats import auc, binomial_interval, binomial_upper, mean_interval, rank_sum_p


def test_the_rank_sum_p_is_exact() -> None:
    """5 above 5 is one order of 252; scipy's exact one-sided p for the mixed one."""
    assert rank_sum_p([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]) == pytest.approx(1 / 252)
    assert rank_sum_p([1, 2, 3], [4, 5, 6]) == 1.0
    mixed = rank_sum_p([3.1, 2.4, 6.5, 5.0], [1.2, 2.9, 4.4, 0.3, 3.0])
    assert mixed == pytest.approx(0.0952380952380952)


def test_ties_never_make_p_too_small() -> None:
    """Nothing moved, so nothing is shown."""
    assert rank_sum_p([1, 1, 1], [1, 1, 1]) == 1.0


def test_the_mean_has_student_s_interval() -> None:
    """scipy.stats.t.interval; and one value says nothing of the others."""
    mean, low, high = mean_interval([1.0, 2.0, 4.0, 8.0, 3.0])
    assert (mean, low, high) == pytest.approx((3.6, 0.2452, 6.9548), abs=0.03)
    assert mean_interval([1.0])[1:] == (float("-inf"), float("inf"))


def test_the_auc_has_an_interval_that_is_not_empty_when_the_samples_are_apart() -> None:
    """DeLong's variance is zero there, and certainty is not to be had from eight rows."""
    assert auc([2.0] * 8, [1.0] * 8)[0] == 1.0
    assert auc([2.0] * 8, [1.0] * 8)[1] == pytest.approx(0.025 ** (1 / 8))
    area, low, high = auc([0.1, 0.4, 0.35, 0.8], [0.1, 0.3, 0.2, 0.5])
    assert area == pytest.approx(0.65625)
    assert low < area < high <= 1.0


@pytest.mark.parametrize(
    ("hits", "trials", "upper"), [(0, 50, 0.0582), (3, 20, 0.3437), (5, 5, 1.0)]
)
def test_none_of_fifty_may_still_be_one_in_seventeen(hits: int, trials: int, upper: float) -> None:
    """scipy.stats.beta.ppf(0.95, hits + 1, trials - hits)."""
    assert binomial_upper(hits, trials) == pytest.approx(upper, abs=1e-4)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_a_share_has_wilson_s_interval(hits: int, trials: int, low: float, high: float) -> None:
    """Newcombe 1998, table I, method 3."""
    assert binomial_interval(hits, trials) == pytest.approx((low, high), abs=1e-4)
