"""Persons, record numbers, birth dates and addresses in HL7 v2 fields."""

# ruff: noqa: E501 - a row of a table broken in two is two riddles

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.types import Finding

__all__ = ["fields"]

_RULES = (
    ("hl7_person", "PERSON", re.compile(r"\b([A-Z][A-Za-z'-]+\^[A-Z][A-Za-z'-]+(?:\^[A-Za-z'-]*)*)")),
    ("hl7_record_number", "MEDICAL_RECORD_NUMBER", re.compile(r"(?:^|\|)([A-Z0-9]{4,20})\^\^\^", re.M)),
    ("hl7_birth_date", "DATE_OF_BIRTH", re.compile(r"\^[^|\n]*\|[^|\n]*\|((?:19|20)\d{6})\|[FMOU]?\|")),
    ("hl7_address", "STREET_ADDRESS", re.compile(r"\|(\d{1,6} [A-Z0-9 .]{3,60})\^")),
)  # fmt: skip
_HEADERS = frozenset(
    [
        "ADT",
        "ORU",
        "ORM",
        "SIU",
        "MDM",
        "DFT",
        "BAR",
        "ACK",
        "VXU",
        "OML",
        "QBP",
        "RSP",
        "MFN",
        "RDE",
    ]
)


def fields(text: str) -> Iterator[Finding]:
    """What the carets part, if there are any."""
    if "^" not in text or ("|" not in text and text.count("^") < 2):
        return
    for name, entity, pattern in _RULES:
        for m in pattern.finditer(text):
            if m[1][:3] not in _HEADERS:
                yield Finding((), *m.span(1), entity, 0.9, f"rules:{name}")
