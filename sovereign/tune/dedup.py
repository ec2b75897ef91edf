"""Finds rows that say the same, exactly or nearly. Knows nothing of files.

What is said twice is learnt twice as well, by heart too (Lee et al. 2022, "Deduplicating Training
Data Makes Language Models Better"). Nearly: the Jaccard similarity of the rows' runs of three
words; MinHash (Broder 1997) finds the pairs that are worth comparing.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sovereign.tune.calls import texts_of
from sovereign.tune.roll import content_of
from sovereign.tune.rows import Row

__all__ = ["exact", "near"]

WORDS = 3
BANDS, PER_BAND = 32, 3
"""A pair of similarity s shares a band with probability 1 - (1 - s^3)^32: at 0.7, 0.999998."""

PRIME = np.uint64(2**61 - 1)
HALF = np.uint64(2**32 - 1)


def exact(rows: Sequence[Row]) -> list[Row]:
    """The first of each kind, in order."""
    seen: set[bytes] = set()
    kept = []
    for row in rows:
        name = hashlib.sha256(content_of(row)).digest()
        if name not in seen:
            seen.add(name)
            kept.append(row)
    return kept


def near(rows: Sequence[Row], threshold: float) -> list[Row]:
    """``rows`` without those whose similarity to an earlier kept one is ``threshold`` or more."""
    rng = np.random.default_rng(0)  # the same rows for everybody
    a = rng.integers(1, 2**32, BANDS * PER_BAND, dtype=np.uint64)[:, None]
    b = rng.integers(0, 2**32, BANDS * PER_BAND, dtype=np.uint64)[:, None]
    bands: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    shingles: list[frozenset[int]] = []
    kept: list[Row] = []
    for row in rows:
        mine = _shingles(row)
        hashes = np.fromiter(mine, np.uint64, len(mine)) & HALF
        least = (((a * hashes[None, :]) + b) % PRIME).min(axis=1).reshape(BANDS, PER_BAND)
        names = [(i, part.tobytes()) for i, part in enumerate(least)]
        others = {j for name in names for j in bands[name]}
        if any(_jaccard(mine, shingles[j]) >= threshold for j in others):
            continue
        for name in names:
            bands[name].append(len(kept))
        shingles.append(mine)
        kept.append(row)
    return kept


def _shingles(row: Row) -> frozenset[int]:
    words = re.findall(r"\w+", texts_of(row.messages).casefold())
    runs = [words[i : i + WORDS] for i in range(max(1, len(words) - WORDS + 1))]
    return frozenset(_hash(" ".join(run)) for run in runs)


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "big")


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
