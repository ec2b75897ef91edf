"""Where the network works: the tokens, what each sees of the others, what a layer makes of it.

To make room takes as long as a layer does. So each thread keeps its own for short texts, in one
place whatever their length: there it stays in the processor's cache.
"""

from __future__ import annotations

import threading
from typing import Final

import numpy as np

__all__ = ["ALONE", "DILATIONS", "Room", "room_for"]

ALONE: Final = (1 << 19) - 1
"""Multiplications of one product for which OpenBLAS takes one thread; with more, idle threads spin
and cost ten times the CPU time that the work takes."""

DILATIONS: Final = (1, 2, 4, 8)
"""How far from a token stand the two others that a layer sees."""

_EDGE: Final = max(DILATIONS)
_SHORT: Final = 4
"""Blocks of a text for which room is kept."""


class _Ground:
    """What rooms for so many tokens or fewer lie in."""

    def __init__(self, rows: int, width: int) -> None:
        self.tokens = np.zeros((_EDGE + rows + _EDGE, width), np.float32)
        self.seen = np.ones((rows, 3 * width + 1), np.float32)
        self.made = np.empty((rows, width), np.float32)
        self.nothing = np.zeros((rows, width), np.float32)


class Room:
    """For ``count`` blocks of ``size`` tokens.

    ``tokens`` are their channels; the rows after them are to be nothing. ``looks`` are what each
    token sees: the one at a distance before, itself, the one after. ``taps`` is where a look goes
    in ``seen``, which holds a one beside it, for the bias. ``made`` is what a layer makes of what
    is seen, and ``flat`` the same in one block, beside which stands ``nothing``.
    """

    __slots__ = ("flat", "looks", "made", "nothing", "seen", "taps", "tokens")

    def __init__(self, ground: _Ground, count: int, size: int) -> None:
        full, width = count * size, ground.made.shape[1]
        self.tokens = ground.tokens[_EDGE : _EDGE + full + _EDGE]
        step, item = ground.tokens.strides
        shape = (full, 3, width)
        self.looks = [
            np.ndarray(shape, np.float32, ground.tokens, (_EDGE - d) * step, (step, d * step, item))
            for d in DILATIONS
        ]
        seen = ground.seen[:full]
        self.taps = seen[:, :-1].reshape(shape)
        self.seen = seen.reshape(count, size, -1)
        self.flat = ground.made[:full]
        self.made = self.flat.reshape(count, size, width)
        self.nothing = ground.nothing


class _Kept(threading.local):
    def __init__(self) -> None:
        self.grounds: dict[int, _Ground] = {}
        self.rooms: dict[tuple[int, int, int], Room] = {}


_kept = _Kept()


def room_for(tokens: int, width: int) -> Room:
    """Room for some ``tokens`` of so many channels: this thread's, until it asks again."""
    block = ALONE // ((3 * width + 1) * width)
    count = -(-tokens // block)
    size = -(-tokens // count)
    known = _kept.rooms.get((width, count, size))
    if known is None:
        if count > _SHORT:
            return Room(_Ground(count * size, width), count, size)
        if width not in _kept.grounds:
            _kept.grounds[width] = _Ground(_SHORT * block, width)
        known = _kept.rooms[width, count, size] = Room(_kept.grounds[width], count, size)
    return known
