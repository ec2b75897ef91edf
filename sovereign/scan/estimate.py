"""What a sample says of the whole: an estimate, and the interval in which it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Estimate", "estimate"]

Z = 1.959964  # 95 %


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many there are in all, and between which numbers 19 times of 20."""

    count: float
    low: float
    high: float


def estimate(found: int, looked: int, there: int) -> Estimate:
    """``found`` in ``looked`` of ``there`` characters, taken as rare and apart from each other
    (Poisson): the square-root interval, and for none the rule of three (Hanley and Lippman-Hand,
    JAMA 1983). Findings that stand in clusters make it wider than it says."""
    if looked >= there or not looked:
        return Estimate(found, found, found)
    scale = there / looked
    if not found:
        return Estimate(0, 0, 3 * scale)
    root = math.sqrt(found)
    low, high = max(0.0, root - Z / 2) ** 2, (root + Z / 2) ** 2
    return Estimate(found * scale, max(found, low * scale), high * scale)
