"""A guard with a recogniser that finds what tests mark, so that the road is tested apart from the
recognisers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from sovereign.guard import Guard, Limits
from sovereign.policy import Policy, load_policy
from sovereign.types import Finding


class Marked:
    """Finds the capitalised name Zorblatt and anything of nine digits."""

    name = "marked"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        found = [
            Finding((), m.start(), m.end(), "PERSON", 0.9, self.name)
            for m in re.finditer(r"Ada Zorblatt", text)
        ]
        return found + [
            Finding((), m.start(), m.end(), "US_SSN", 1.0, self.name)
            for m in re.finditer(r"\b\d{3}-?\d{2}-?\d{4}\b", text)
        ]


MakeGuard = Callable[..., Guard]


@pytest.fixture
def make_guard() -> MakeGuard:
    """A guard of these recognisers, policy and limits."""

    def make(
        *recognizers: object, policy: Policy | None = None, limits: Limits | None = None
    ) -> Guard:
        chosen = policy or load_policy(preset="direct")
        return Guard(chosen, recognizers or (Marked(),), key=b"k" * 32, limits=limits)  # type: ignore[arg-type]

    return make
