"""Identifiers that show by the word before them: "MRN 00482913", "member ID: XYP482913004",
"password: hunter2", "DOB 03/12/1984", in prose, forms, JSON, YAML and logs, in many
languages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from sovereign.guard.recognizers.labels.index import FIRST, by_opening
from sovereign.guard.recognizers.labels.table import LABELS, NOT_NAMES, TITLED, TITLES, Label
from sovereign.guard.recognizers.secrets.kinds import no_placeholder
from sovereign.types import Finding

__all__ = ["LabelsRecognizer"]

_WORD = re.compile(rf"([^\W\d_]{{1,{FIRST}}})[^\W\d_]*")
_DIGIT = re.compile(r"\d")
_CLOSING = re.compile(r"[.\-/]+$")
_NOBODYS = re.compile(
    r"(?:INC|CVE|RFC|ISO|JIRA|BUG|PR|SEV|CHG|RITM|PEP|DIN|EN|IEC|IEEE)[-# ]?\d", re.I
)
"""Tickets of a help desk, standards, weaknesses: numbers of no person."""


class LabelsRecognizer:
    """All labels of the table; each finding names its entity's rule."""

    name = "labels"

    def __init__(self) -> None:
        latin = [label for label in LABELS if label.words[0] < "\u0250"]
        self._other = [(label, label.pattern()) for label in LABELS if label not in latin]
        self._labels = [(label, label.pattern()) for label in latin]
        self._titled = len(latin)
        self._by_word = by_opening([*(label.words for label in latin), TITLES])
        text = "\n".join(p.pattern for _, p in [*self._labels, *self._other]) + TITLED.pattern
        self.build = hashlib.sha256(text.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"LabelsRecognizer({len(LABELS)} labels)"

    def recognize(self, text: str) -> Sequence[Finding]:
        """Values behind their labels, and names behind their titles."""
        found: list[Finding] = []
        numbered = _DIGIT.search(text) is not None
        lowered = text.lower()
        if len(lowered) != len(text):
            lowered = "".join(low if len(low := c.lower()) == 1 else c for c in text)
        choose = self._by_word.get
        for word in _WORD.finditer(lowered):
            chosen = choose(word[1])
            if chosen is not None:
                found += self._at(text, word.start(), chosen, numbered)
        if not text.isascii():
            for label, pattern in self._other:
                for match in pattern.finditer(text):
                    found += _judged(label, match)
        return found

    def _at(self, text: str, at: int, chosen: tuple[int, ...], numbered: bool) -> list[Finding]:
        found: list[Finding] = []
        for i in chosen:
            if i == self._titled:
                match = TITLED.match(text, at)
                if match is not None:
                    found.append(Finding((), *match.span("v"), "PERSON", 0.85, "labels:title"))
                continue
            label, pattern = self._labels[i]
            if numbered or not label.digits:
                match = pattern.match(text, at)
                if match is not None:
                    found += _judged(label, match)
        return found


def _judged(label: Label, match: re.Match[str]) -> Iterator[Finding]:
    start, end = match.span("v")
    value = match["v"]
    if label.entity == "PERSON" and NOT_NAMES.match(value):
        return
    if label.entity == "PERSON" and value.isupper() and " " not in value and "=" in match.group():
        return  # name='STOP' in a program
    if label.entity == "SECRET" and not _random(value):
        return
    if label.entity == "CASE_NUMBER" and _NOBODYS.match(value):
        return
    tail = _CLOSING.search(value)
    end -= len(tail.group()) if tail else 0
    yield Finding((), start, end, label.entity, label.score, f"labels:{label.entity.lower()}")


def _random(value: str) -> bool:
    """Not a plain word, which after "password:" is more often a type or a sentence."""
    plain = value.isalpha() and (value.islower() or value[1:].islower())
    return no_placeholder(value) and not plain and "(" not in value
