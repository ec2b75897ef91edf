"""What each word is, alone, remembered: most words of a text were seen before.

Bounded: at :data:`LIMIT` words the memory is emptied. What is remembered never changes an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from sovereign.guard.recognizers.tagger.net import Floats, Net

__all__ = ["LIMIT", "Words"]

LIMIT = 1 << 15
"""Words that are remembered: 8 MB of vectors at 64 channels."""


class Words:
    """Token to vector, with memory. Safe for threads."""

    def __init__(self, net: Net, limit: int = LIMIT) -> None:
        self._net, self._limit = net, limit
        self._index: dict[str, int] = {}
        self._table = np.zeros((1024, net.width), np.float32)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Words({len(self._index)})"

    def vectors(self, tokens: Sequence[str]) -> Floats:
        """(tokens, channels), in order."""
        with self._lock:
            at: list[Any] = list(map(self._index.get, tokens))
            if None in at:
                new = [i for i, row in enumerate(at) if row is None]
                at = self._learn(tokens, at, new)
            return self._table.take(at, axis=0)

    def _learn(self, tokens: Sequence[str], at: list[Any], unknown: Sequence[int]) -> list[int]:
        """``at``, where the rows of tokens are, with those of ``unknown`` ones."""
        index = self._index
        new = list(dict.fromkeys([tokens[i] for i in unknown]))
        if len(index) + len(new) > self._limit:
            index.clear()
            new, unknown = list(dict.fromkeys(tokens)), range(len(tokens))
        start, end = len(index), len(index) + len(new)
        if end > len(self._table):
            grown = np.zeros((max(end, 2 * len(self._table)), self._net.width), np.float32)
            grown[:start] = self._table[:start]
            self._table = grown
        self._net.embed(new, self._table[start:end])
        index.update(zip(new, range(start, end), strict=True))
        for i in unknown:
            at[i] = index[tokens[i]]
        return at
