"""Identifiers that show by their own form or check digits: one pass over the digits, and a look
where a cheap sign ("@", "://", a known prefix) says that there is something to see."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from sovereign.guard.recognizers.rules.contact import emails
from sovereign.guard.recognizers.rules.finance import accounts
from sovereign.guard.recognizers.rules.hl7 import fields
from sovereign.guard.recognizers.rules.network import others
from sovereign.guard.recognizers.rules.numbers import numbers
from sovereign.guard.recognizers.rules.records import records
from sovereign.guard.recognizers.rules.street import without_house
from sovereign.types import Finding

__all__ = ["RulesRecognizer"]

_DIGIT = re.compile(r"\d")


class RulesRecognizer:
    """All rules of this package; each finding names its rule. Time is linear in the text."""

    name = "rules"
    quick = True

    def __init__(self) -> None:
        sources = sorted(Path(__file__).parent.glob("*.py"))
        self.build = hashlib.sha256(b"\n".join(p.read_bytes() for p in sources)).hexdigest()

    def __repr__(self) -> str:
        return "RulesRecognizer()"

    def recognize(self, text: str) -> Sequence[Finding]:
        """What has the form of an identifier."""
        found = [*fields(text), *records(text)]
        if "@" in text:
            found += emails(text)
        if ":" in text or "-" in text or "." in text:
            found += others(text)
        found += without_house(text)
        if _DIGIT.search(text) is not None:
            found += numbers(text)
            found += accounts(text)
        return found
