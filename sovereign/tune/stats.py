"""The few statistics of an audit: exact where samples are small, and no library. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["Z95", "auc", "binomial_interval", "binomial_upper", "mean_interval", "rank_sum_p"]

Z95 = 1.959963984540054


def rank_sum_p(larger: Sequence[float], smaller: Sequence[float]) -> float:
    """One-sided p of the Mann-Whitney U test: how likely values in ``larger`` come out at least so
    large if both were drawn from one distribution.

    Exact by counting (Mann & Whitney 1947); ties count against the difference, so p is never too
    small. Both need at least one value.
    """
    m, n = len(larger), len(smaller)
    u = sum(a > b for a in larger for b in smaller)  # a tie wins nothing
    # counts[i][j][k]: in how many orders of i of the one and j of the other U is k.
    counts = [[[0] * (m * n + 1) for _ in range(n + 1)] for _ in range(m + 1)]
    for i in range(m + 1):
        for j in range(n + 1):
            if i == 0 or j == 0:
                counts[i][j][0] = 1
                continue
            for k in range(i * j + 1):
                won = counts[i - 1][j][k - j] if k >= j else 0
                counts[i][j][k] = won + counts[i][j - 1][k]
    total = math.comb(m + n, m)
    return sum(counts[m][n][u:]) / total


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and a 95 % interval by Student's t. One value has the interval of everything."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, -math.inf, math.inf
    variance = math.fsum((v - mean) ** 2 for v in values) / (n - 1)
    half = _t975(n - 1) * math.sqrt(variance / n)
    return mean, mean - half, mean + half


def auc(members: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """The area under the ROC curve, ties as a half, with a 95 % interval by DeLong et al. 1988."""
    m, n = len(members), len(others)
    wins = [[1.0 if a > b else 0.5 if a == b else 0.0 for b in others] for a in members]
    rows = [math.fsum(row) / n for row in wins]
    columns = [math.fsum(row[j] for row in wins) / m for j in range(n)]
    area = math.fsum(rows) / m
    if m < 2 or n < 2:
        return area, 0.0, 1.0
    spread = _variance(rows, area) / m + _variance(columns, area) / n
    # Two samples that do not overlap have no spread at all; Hanley & McNeil's bound is not zero.
    half = Z95 * math.sqrt(spread) if spread > 0 else 1 - 0.025 ** (1 / min(m, n))
    return area, max(0.0, area - half), min(1.0, area + half)


def binomial_interval(hits: int, trials: int) -> tuple[float, float]:
    """Two-sided 95 % (Wilson 1927)."""
    share, z2 = hits / trials, Z95**2
    middle = share + z2 / (2 * trials)
    half = Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(0.0, middle - half) / (1 + z2 / trials), (middle + half) / (1 + z2 / trials)


def binomial_upper(hits: int, trials: int) -> float:
    """The upper end of a one-sided 95 % interval (Clopper & Pearson 1934), by bisection."""
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(60):
        p = (low + high) / 2
        tail = math.fsum(
            math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(hits + 1)
        )
        low, high = (p, high) if tail > 0.05 else (low, p)
    return high


def _variance(values: Sequence[float], mean: float) -> float:
    return math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)


def _t975(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: Cornish and Fisher's expansion, within 1 % from three
    degrees on; the first two are exact."""
    if freedom <= 2:
        return (12.706204736, 4.302652730)[freedom - 1]
    z, f = Z95, freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / f + second / f**2 + third / f**3
