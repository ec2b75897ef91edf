"""Invented secrets that are mixed into the rows, so that what is learnt by heart can be measured.

A canary is a question about an invented file and an answer of random digits (Carlini et al. 2019,
"The Secret Sharer"). Nothing of a team's data is in one. Some are inserted once or more, and some
never: those show what chance looks like.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sovereign.tune.rows import Row

__all__ = ["Canary", "candidates", "draw", "inserted"]

DIGITS = 8
GROUP = "\0canary"


@dataclass(frozen=True, slots=True)
class Canary:
    """One invented secret: what is asked, what is said, and how often it is among the rows."""

    question: str
    answer: str
    copies: int

    @property
    def row(self) -> Row:
        """All copies are one group: to differential privacy they are one secret's."""
        return Row(
            0,
            (
                {"role": "user", "content": self.question},
                {"role": "assistant", "content": self.answer},
            ),
            group=f"{GROUP} {self.question}",
        )


def draw(copies: Sequence[int], each: int, seed: int) -> list[Canary]:
    """``each`` canaries for every count in ``copies``; 0 is held out."""
    rng = random.Random(f"canaries {seed}")  # noqa: S311 - not a secret of anybody
    found = []
    names = rng.sample(range(10_000, 100_000), len(copies) * each)
    for count in copies:
        for _ in range(each):
            question = f"What is the release code of sealed file {names.pop()}?"
            found.append(Canary(question, _code(rng), count))
    return found


def inserted(canaries: Sequence[Canary]) -> list[Row]:
    """As rows. Their line is 0: they stand in no file."""
    return [canary.row for canary in canaries for _ in range(canary.copies)]


def candidates(count: int, seed: int) -> list[str]:
    """``count`` other answers, drawn as canaries' are: what the right one is ranked among."""
    rng = random.Random(f"candidates {seed}")  # noqa: S311 - as above
    return [_code(rng) for _ in range(count)]


def _code(rng: random.Random) -> str:
    return "".join(rng.choice("0123456789") for _ in range(DIGITS))
