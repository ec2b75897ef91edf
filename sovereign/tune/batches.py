"""Which rows are trained on together, decided before training and the same for the same seed.

Rows of similar length share a batch, so that little is padding. Every process of a distributed run
makes the same plan and takes its own part of it, so nobody needs to be told the counts. The batch
of the longest rows would decide what memory a run takes, so it goes through in several passes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

__all__ = ["passes", "plan", "room", "steps_of"]

WINDOW = 16  # batches that are sorted together: longer sorts better, shorter shuffles better
ROOM = 1.5  # batches of rows of mean length: less cuts often, more leaves the peak as it was


def steps_of(rows: int, per_step: int, *, steps: int | None, epochs: float | None) -> int:
    """How many optimiser steps are meant."""
    if steps is not None:
        return steps
    assert epochs is not None
    return max(1, math.ceil(rows * epochs / per_step))


def plan(lengths: Sequence[int], *, batch: int, batches: int, seed: int) -> list[list[int]]:
    """``batches`` lists of ``batch`` row numbers. No row comes two epochs before another."""
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    found: list[list[int]] = []
    carried: list[int] = []
    while len(found) < batches:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        queue = carried + order
        # What fills no batch waits for the next epoch. It is cut off before sorting: cut off after,
        # it would always be the longest rows.
        whole = len(queue) - len(queue) % batch
        queue, carried = queue[:whole], queue[whole:]
        epoch: list[list[int]] = []
        for at in range(0, whole, batch * WINDOW):
            window = sorted(queue[at : at + batch * WINDOW], key=lambda i: lengths[i])
            epoch += [window[k : k + batch] for k in range(0, len(window), batch)]
        rng.shuffle(epoch)
        found += epoch
    return found[:batches]


def room(lengths: Sequence[int], batch: int) -> int:
    """How many positions one forward pass may hold, where ``lengths`` are those of all rows: some
    more than a batch of mean rows has, and any row by itself."""
    return max(max(lengths), math.ceil(ROOM * batch * sum(lengths) / len(lengths)))


def passes(lengths: Sequence[int], most: int) -> list[slice]:
    """The rows of one batch in runs of at most ``most`` positions, side by side as wide as the
    longest. A run has one row at least."""
    cuts, wide = [0], 0
    for i, length in enumerate(lengths):
        wide = max(wide, length)
        if wide * (i + 1 - cuts[-1]) > most and i > cuts[-1]:
            cuts.append(i)
            wide = length
    return [slice(a, b) for a, b in zip(cuts, [*cuts[1:], len(lengths)], strict=True)]
