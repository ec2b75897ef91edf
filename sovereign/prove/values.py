"""Made-up identifiers, fresh for each probe, so that what arrives says which probe carried it.

They pass the checks that recognisers make (Luhn, ISO 7064) and belong to nobody: reserved domains,
fictitious telephone numbers, names put together from two lists.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

__all__ = ["KINDS", "Values"]

KINDS = ("ssn", "card", "mail", "phone", "iban", "name", "apikey", "mrn")

_words = str.split  # a list of words is easier to read as one string

_FIRST = _words(
    "Maria Daniel Laura Stefan Ingrid Thomas Helena Robert Claudia Martin Sophie Andreas"
)
_LAST = _words("Keller Brandt Lindqvist Moreau Hartmann Novak Ferrari Petersen Schreiber Vogel")
_CONSONANTS = "bcdfghklmnprstvz"


@dataclass(frozen=True, slots=True)
class Values:
    """One value of each kind. ``repr`` shows none of them: reports must not, either."""

    by_kind: dict[str, str]

    def __repr__(self) -> str:
        return f"Values({', '.join(self.by_kind)})"

    @classmethod
    def fresh(cls, chance: random.Random) -> Values:
        """``chance`` decides all of it: one seed, one run."""
        name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"
        area = chance.choice([a for a in range(101, 733) if a != 666])
        account = _digits(chance, 18)
        check = 98 - int(f"{account}131400") % 97
        secret = "".join(chance.choices(string.ascii_letters + string.digits, k=40))
        return cls(
            {
                "ssn": f"{area}-{chance.randrange(11, 99)}-{chance.randrange(1001, 9999)}",
                "card": _luhn("4539" + _digits(chance, 11)),
                "mail": f"{_word(chance, 7)}.{_word(chance, 6)}@{_word(chance, 6)}.example.org",
                "phone": f"+1 {chance.choice((212, 312, 415))} 555 01{_digits(chance, 2)}",
                "iban": f"DE{check:02d}{account}",
                "name": name,
                "apikey": f"sk-proj-{secret}",
                "mrn": "00" + _digits(chance, 6),
            }
        )


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("123456789", k=count))


def _word(chance: random.Random, count: int) -> str:
    return "".join(chance.choice(_CONSONANTS if i % 2 == 0 else "aeiou") for i in range(count))


def _luhn(payload: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(payload)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return payload + str(-total % 10)
