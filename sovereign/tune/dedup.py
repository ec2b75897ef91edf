"""Finds rows that say the same, exactly or nearly. Knows nothing of files.

What is said twice is learnt twice as well, by heart too (Lee et al. 2022, "Deduplicating Training
Data Makes Language Models Better"). Nearly: the Jaccard similarity of the rows' runs of three
words; MinHash (Broder 1997) finds the pairs that are worth comparing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from sovereign.tune.calls import texts_of
from sovereign.tune.roll import content_of
from sovereign.tune.rows import Row

__all__ = ["exact", "name_of", "near"]

WORDS = 3
BANDS, PER_BAND = 32, 3
"""A pair of similarity s shares a band with probability 1 - (1 - s^3)^32: at 0.7, 0.999998."""

PRIME = np.uint64(2**61 - 1)


def name_of(row: Row) -> bytes:
    """What tells a row from others by its words, in 16 bytes."""
    return hashlib.blake2b(content_of(row), digest_size=16).digest()


def exact(rows: Iterable[Row]) -> Iterator[Row]:
    """The first of each kind, in order. In memory stays what :func:`name_of` says of each."""
    seen: set[bytes] = set()
    for row in rows:
        name = name_of(row)
        if name not in seen:
            seen.add(name)
            yield row


def near(rows: Iterable[Row], threshold: float) -> Iterator[Row]:
    """``rows`` without those whose similarity to an earlier kept one is ``threshold`` or more. In
    memory stay the runs of each row: about 4 KB, and 4 bytes for each word."""
    rng = np.random.default_rng(0)  # the same rows for everybody
    a = rng.integers(1, 2**32, BANDS * PER_BAND, dtype=np.uint64)[:, None]
    b = rng.integers(0, 2**32, BANDS * PER_BAND, dtype=np.uint64)[:, None]
    bands: dict[int, list[int]] = {}
    shingles: list[npt.NDArray[np.uint32]] = []
    for row in rows:
        mine = _shingles(row)
        hashes = mine.astype(np.uint64)
        least = (((a * hashes[None, :]) + b) % PRIME).min(axis=1).reshape(BANDS, PER_BAND)
        names = [hash((i, part.tobytes())) for i, part in enumerate(least)]
        others = {j for name in names for j in bands.get(name, ())}
        if any(_jaccard(mine, shingles[j]) >= threshold for j in others):
            continue
        for name in names:
            bands.setdefault(name, []).append(len(shingles))
        shingles.append(mine)
        yield row


def _shingles(row: Row) -> npt.NDArray[np.uint32]:
    words = re.findall(r"\w+", texts_of(row.messages).casefold())
    runs = [words[i : i + WORDS] for i in range(max(1, len(words) - WORDS + 1))]
    found = {_hash(" ".join(run)) for run in runs}
    return np.fromiter(found, np.uint32, len(found))


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "big")


def _jaccard(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
