"""Realistic stand-ins: a name for a name of the same gender, a number of the same form.

A model writes better prose about "Alina Hoskins" than about "PERSON_K7Q2MX4D". Everything is keyed:
the same value gives the same stand-in, and nobody without the key can tell the value. Not for kinds
whose stand-in would be taken for a fact or found by chance in a reply (dates, ages, short numbers,
secrets), nor for names in other letters than Latin ones: those keep their tag.

Nobody lives behind a stand-in on purpose: numbers with check digits or an issuing authority come
from ranges that are reserved or never issued, e-mail addresses from example.com (RFC 2606).
"""

from __future__ import annotations

from collections.abc import Callable

from sovereign.guard.standins import numbers, words
from sovereign.guard.standins.chance import Chance

__all__ = ["Chance", "Maker", "maker"]

Maker = Callable[[str, Chance], str | None]
"""``value`` to its stand-in, or ``None`` where none would be safe to restore."""

_MAKERS: dict[str, Maker] = {
    "PERSON": words.person,
    "USERNAME": words.username,
    "EMAIL_ADDRESS": words.email,
    "STREET_ADDRESS": words.address,
    "LOCATION": words.place,
    "ORGANIZATION": words.organization,
    "PHONE_NUMBER": numbers.phone,
    "CREDIT_CARD": numbers.card,
    "IBAN_CODE": numbers.iban,
    "US_SSN": numbers.ssn,
    "IP_ADDRESS": numbers.ip,
    "MAC_ADDRESS": numbers.mac,
}
_TAGS = frozenset(
    {"SECRET", "DATE_TIME", "DATE_OF_BIRTH", "AGE", "GENDER", "NRP", "PIN", "CARD_SECURITY_CODE"}
    | {"URL", "CRYPTO", "US_POSTAL_CODE"}
)


def maker(entity: str) -> Maker | None:
    """Who makes the stand-ins of ``entity``; ``None`` is nobody: it keeps its tag."""
    return None if entity in _TAGS else _MAKERS.get(entity, numbers.identifier)
