"""Random ids: what of a UUID looks like a phone number, a code or a word is there by chance.

One with a letter in it, as nearly all have: 32 digits in these groups may have been put there. As a
whole it may be found, such as by the words before it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

__all__ = ["LENGTH", "is_random", "part_of", "random_ids"]

LENGTH = 36

_UUID = re.compile(
    r"(?<![0-9A-Za-z])(?=[\d-]{0,35}[A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"(?![0-9A-Za-z])"
)


def is_random(word: str) -> bool:
    """Whether all of ``word`` is one."""
    return len(word) == LENGTH and _UUID.match(word) is not None


def random_ids(text: str) -> Sequence[int]:
    """Where they start, in order."""
    if text.count("-") < 4:
        return ()
    return [m.start() for m in _UUID.finditer(text)]


def part_of(ids: Sequence[int], start: int, end: int) -> bool:
    """Whether ``[start, end)`` is a part of one, and not all of it."""
    k = bisect_right(ids, start) - 1
    return k >= 0 and end <= ids[k] + LENGTH and end - start < LENGTH
