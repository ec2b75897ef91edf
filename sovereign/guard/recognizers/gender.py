"""A person's sex where it is written as such: a labelled field ("Sex: F"), the plain words, and
the letter behind an age ("54F"). Alone it says nothing, so every preset lets it pass; it is here for
the combinations of a policy, and runs only if one of them names GENDER."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from sovereign.types import Finding

__all__ = ["GenderRecognizer"]

_WORDS = (
    r"female|male|non-?binary|intersex|transgender|weiblich|männlich|maennlich|divers|femenino|"
    r"masculino|féminin|masculin|femmina|maschio|vrouwelijk|mannelijk|kobieta|mężczyzna"
)
_LABELLED = re.compile(
    r"(?i:(?<![^\W_])(?:sex|gender|geschlecht|sexo|g[ée]nero|sexe|genre|sesso|geslacht|płeć|"
    r"administrative[_ ]?gender|gender[_ ]?identity|性别|性別)\s?(?:\((?:m/f|f/m|m/w)\))?[\"']?"
    r"(?:\s?(?:[:=：|\t]|=>)|\s(?:is|ist|es))\s{0,3}[\"']?)"
    rf"(?P<v>(?i:{_WORDS}|wom[ae]n|man|mujer|hombre|homme|femme|frau|mann|unknown|other|[女男]性?)"
    r"|[FMXWVDfmxwvd])(?![\w])"
)
_PLAIN = re.compile(
    r"(?i:(?<![\w-])(?P<v>fe?male|weiblich|männlich|non-?binary|transgender))(?!\w)"
)
_AGED = re.compile(
    r"(?<![\w.])\d{1,3}\s?(?:-?\s?years?\s?-?\s?old|-?\s?(?:y/?o|yo|yrs?|jährige[rn]?))\s?"
    r"(?P<v>[FM](?![\w'’])|(?:wom[ae]n|man|girl|boy|lady|gentleman|Frau|Mann|Patientin)(?!\w))"
)
_SHORT = re.compile(  # "54F with chest pain", but not "10M records"
    r"(?<![\w.$€£])\d{2}\s?(?P<v>[FM])"
    r"(?=\s+(?:with|w/|presents|presenting|p/w|c/o|h/o|s/p|who|admitted)(?!\w))"
)
_HL7 = re.compile(r"\|(?:19|20)\d{6}(?:\d{4,6})?\|(?P<v>[FMOU])\|")
_FORMS = (("label", _LABELLED), ("word", _PLAIN), ("age", _AGED), ("short", _SHORT), ("hl7", _HL7))
_HINTS = {
    "label": tuple(str.split("sex gender geschlecht género genero genre sesso geslacht płeć 性 ſ")),
    "word": tuple(str.split("male weiblich männlich binary transgender ſ")),
}
"""One of these stands, in lower case, in every text in which the form's pattern matches. Patterns
that begin anywhere are the slowest part of reading a page; a hint is found a hundred times faster."""


class GenderRecognizer:
    """Finds GENDER. Its findings name the form that showed it."""

    name = "gender"
    quick = True

    def __init__(self) -> None:
        text = "\n".join(p.pattern for _, p in _FORMS)
        self.build = hashlib.sha256(text.encode()).hexdigest()

    def recognize(self, text: str) -> Sequence[Finding]:
        """Where the sex of somebody is written."""
        found: dict[tuple[int, int], Finding] = {}
        lowered = text.lower()
        for form, pattern in _FORMS:
            hints = _HINTS.get(form)
            if hints is not None and not any(hint in lowered for hint in hints):
                continue
            for match in pattern.finditer(text):
                span = match.span("v")
                found.setdefault(span, Finding((), *span, "GENDER", 0.8, f"gender:{form}"))
        return list(found.values())
