"""A recogniser of which one knows exactly what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.types import Finding

__all__ = ["NineDigits"]


class NineDigits:
    """Finds numbers of nine digits, and nothing else."""

    name = "numbers"
    build = "1"

    def recognize(self, text: str) -> Iterator[Finding]:
        for found in re.finditer(r"(?<!\d)\d{9}(?!\d)", text):
            yield Finding((), found.start(), found.end(), "US_SSN", 1.0, "numbers")
