"""From label probabilities to spans: what is sure is kept, what is likely is kept beside it.

A stretch of likely tokens counts if one of them is nearly certain, or if something certain stands
within :data:`NEAR` characters: personal data comes in company. This keeps recall in dense
documents and quiet in the others.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.guard.recognizers.tagger.net import LABELS

__all__ = [
    "COMMON",
    "FAINT",
    "HIGH",
    "LOW",
    "NAMED",
    "NEAR",
    "SMALL",
    "UNLISTED",
    "Span",
    "kept",
    "stretches",
]

NEAR = 300
"""Characters within which a sure span vouches for a likely one."""

LOW: Mapping[str, float] = {
    "PERSON": 0.15, "ADDRESS": 0.2, "USERNAME": 0.35, "ID": 0.3, "SECRET": 0.35,
    "PHONE": 0.5, "EMAIL": 0.5, "ORG": 0.5, "LOC": 0.5,
}  # fmt: skip
"""A token below this is not of that label."""

HIGH: Mapping[str, float] = {
    "PERSON": 0.53, "ADDRESS": 0.75, "USERNAME": 0.9, "ID": 0.9, "SECRET": 0.85,
    "PHONE": 0.88, "EMAIL": 0.8, "ORG": 0.5, "LOC": 0.5,
}  # fmt: skip
"""A span that reaches this needs nothing beside it."""

NAMED: Final = 0.36
"""The same for a capitalised word that is somebody's name in a gazetteer."""

UNLISTED: Final = 0.65
"""The same for one that is nobody's."""

FAINT: Final = 0.02
"""From here on a capitalised word is a name if it stands beside one that speaks of a person."""

SMALL: Final = 0.85
"""The same for a word in small letters, where the text around has capitals."""

COMMON: Final = 0.9
"""The same for words that running text writes small, and that are nobody's name there."""

IN_CODE: Mapping[str, float] = {
    "PERSON": 0.92, "ADDRESS": 0.95, "USERNAME": 0.93, "ID": 0.9, "SECRET": 0.9,
    "PHONE": 0.93, "EMAIL": 0.93, "ORG": 0.7, "LOC": 0.7,
}  # fmt: skip
"""The same where the text around is program, markup or a table: words there name things."""

_MARKS = re.compile(r"[=(){}\[\]<>_;\\|`$*#]")
_AROUND = 100
_DENSE = 0.04

_PLACES = frozenset({"ORG", "LOC"})
_LOW = [2.0] + [LOW[label] for label in LABELS[1:]]
_OUTSIDE = 1.001 - FAINT
"""A token whose probability to be nothing reaches this reaches no low mark."""


class Span(NamedTuple):
    """A stretch of one label; ``score`` is its best token's probability."""

    start: int
    end: int
    label: str
    score: float


def stretches(
    probabilities: NDArray[np.float32], bounds: Sequence[int]
) -> tuple[list[Span], list[tuple[int, int]]]:
    """Neighbouring tokens whose likeliest label but "outside" is the same and above its low mark;
    and where tokens lie that may be a name, if something beside them says so.

    A personal label takes the probability of all personal labels together: whether a string is a
    user name or a name matters less than that it is either. Token ``i`` is the text's
    ``[bounds[i], bounds[i + 1])``.
    """
    found: list[Span] = []
    faint: list[tuple[int, int]] = []
    at = (probabilities[:, 0] < _OUTSIDE).nonzero()[0]  # most tokens are nothing
    first, last, kind, best = 0, -2, 0, 0.0
    for i, row in zip(at.tolist(), probabilities.take(at, axis=0).tolist(), strict=True):
        personal = row[1:8]
        if FAINT < personal[0] < _LOW[1]:
            faint.append((bounds[i], bounds[i + 1]))
        score = sum(personal)
        # Outside, place or organisation unless the personal labels together weigh more.
        label = 8 if row[8] >= row[9] else 9
        if row[label] > score and row[label] >= _LOW[label]:
            score = row[label]
        else:
            label = 1 + personal.index(max(personal))
            if score < _LOW[label]:
                continue
        if last == i - 1 and label == kind:
            last, best = i, max(best, score)
            continue
        if kind:
            found.append(Span(bounds[first], bounds[last + 1], LABELS[kind], best))
        first, last, kind, best = i, i, label, score
    if kind:
        found.append(Span(bounds[first], bounds[last + 1], LABELS[kind], best))
    return found, faint


def _high(_text: str, s: Span) -> float:
    return HIGH[s.label]


def kept(
    text: str, spans: Sequence[Span], high: Callable[[str, Span], float] = _high
) -> list[Span]:
    """Those of ``text`` that are sure, and those that stand near a sure one. ``spans`` are in
    order; ``high`` is the score from which one is sure."""
    certain = [_is_sure(text, s, high(text, s)) for s in spans]
    if all(certain):
        return list(spans)
    sure = [s for s, c in zip(spans, certain, strict=True) if c and _personal(s)]
    starts = [s.start for s in sure]
    out = []
    for s, c in zip(spans, certain, strict=True):
        if c:
            out.append(s)
        elif sure and _personal(s):
            k = bisect_left(starts, s.start)
            after = k < len(sure) and starts[k] - s.end <= NEAR
            before = k > 0 and s.start - sure[k - 1].end <= NEAR
            if after or before:
                out.append(s)
    return out


def _personal(s: Span) -> bool:
    return s.label not in _PLACES


def _is_sure(text: str, s: Span, high: float) -> bool:
    if s.score < high:
        return False
    if s.score >= IN_CODE[s.label]:
        return True
    around = text[max(0, s.start - _AROUND) : s.start] + text[s.end : s.end + _AROUND]
    return len(_MARKS.findall(around)) < _DENSE * max(len(around), 2 * _AROUND // 5)
