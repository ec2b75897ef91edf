"""Identifiers that show by the word before them: "MRN 00482913", "member ID: XYP482913004",
"password: hunter2", "DOB 03/12/1984", in prose, forms, JSON, YAML and logs, in many
languages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sovereign.guard.recognizers import spdx
from sovereign.guard.recognizers.labels.index import FIRST, by_opening
from sovereign.guard.recognizers.labels.table import LABELS, NOT_NAMES, TITLED, TITLES, Label
from sovereign.guard.recognizers.labels.tables import cells
from sovereign.guard.recognizers.secrets.kinds import no_placeholder
from sovereign.types import Finding

__all__ = ["LabelsRecognizer"]

_WORD = re.compile(r"[^\W\d_]+")
_NO_LETTER = re.compile(r"[\W\d_]")
_SPACED = bytes(b if 97 <= b <= 122 else 32 for b in range(256))
"""Leaves small letters, and makes a space of everything else."""

_DIGIT = re.compile(r"\d")
_SCRIPTS = re.compile("[\u0370-\u1dff\u1f00-\u1fff\u2e80-\ud7ff]")
"""Greek, Cyrillic, Hebrew, Arabic, Indic, Thai, Han, Kana, Hangul."""

_CLOSING = re.compile(r"[.\-/]+$")
_NOBODYS = re.compile(
    r"(?:INC|CVE|RFC|ISO|JIRA|BUG|PR|SEV|CHG|RITM|PEP|DIN|EN|IEC|IEEE)[-# ]?\d|\d{1,3}-\d{1,3}$",
    re.I,
)
_VARIABLE = re.compile(r"[a-z_]{3,}\d{0,2}(?:\.\w+)*|[A-Za-z_]+\d?(?:\.[A-Za-z_]\w{2,})+\d?")
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z]+(?:_[A-Za-z]+)+")
"""A variable or its attribute: without quotes, no value."""

_GOES_ON = re.compile(r"_\w")
_VERSION = re.compile(r"v?\d{1,2}(?:\.\d{1,2}){1,2}")
_MACHINE = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")

_GOODS = re.compile(
    r"(?i)(?<![^\W_])(?:sku|ean|gtin|asin|price|preis|prix|precio|prezzo|stock|qty|quantity|menge|"
    r"unit price|product|artikel|article)(?![^\W_])"
)
"""Heads of a table of things that are sold."""

_INNER = {"PERSON": "name", "USERNAME": "handle"}
"""Words that name no person where they end a longer name."""

_SIGNS = frozenset({"USERNAME", "SECRET"})
_PROGRAMMED = _SIGNS | {
    "ACCOUNT_NUMBER",
    "IDENTIFIER",
    "MEMBER_ID",
    "POLICY_NUMBER",
    "CLAIM_NUMBER",
    "EMPLOYEE_ID",
    "MEDICAL_RECORD_NUMBER",
}


class LabelsRecognizer:
    """All labels of the table; each finding names its entity's rule."""

    name = "labels"
    quick = True

    def __init__(self) -> None:
        latin = [label for label in LABELS if label.words[0] < "\u0250"]
        self._other = [(label, label.pattern()) for label in LABELS if label not in latin]
        self._labels = [(label, label.pattern(), label.digits) for label in latin]
        self._titled = len(latin)
        self._by_word = by_opening([*(label.words for label in latin), TITLES])
        sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(spdx.__file__)]
        self.build = hashlib.sha256(b"\n".join(p.read_bytes() for p in sources)).hexdigest()

    def __repr__(self) -> str:
        return f"LabelsRecognizer({len(LABELS)} labels)"

    def recognize(self, text: str) -> Sequence[Finding]:
        """Values behind their labels or under them, and names behind their titles."""
        found = self._behind(text)
        for head, start, end in cells(text, self._heads):
            said = f"{head}: "
            for f in self._behind(said + text[start:end]):
                if f.start <= len(said) + 1 and f.end > len(said):
                    shift = start - len(said)
                    place = (max(start, f.start + shift), f.end + shift)
                    found.append(Finding((), *place, f.entity, f.score, f"{f.recognizer}_column"))
        return found

    def _heads(self, names: Sequence[str]) -> list[bool]:
        """Which heads of a table's columns may be labels. What has a price is nobody."""
        goods = any(_GOODS.search(name) for name in names)
        return [
            any(word[:FIRST] in self._by_word for word in _WORD.findall(name.lower()))
            and not (goods and name.strip().lower() == "name")
            for name in names
        ]

    def _behind(self, text: str) -> list[Finding]:
        found: list[Finding] = []
        last = _last_digit(text)
        lowered = text.lower()
        if len(lowered) != len(text):
            lowered = "".join(low if len(low := c.lower()) == 1 else c for c in text)
        for at, chosen in self._openings(lowered):
            self._at(text, at, chosen, last, found)
        if not text.isascii() and _SCRIPTS.search(text) is not None:
            for label, pattern in self._other:
                for match in pattern.finditer(text):
                    found += _judged(label, match)
        return found

    def _openings(self, lowered: str) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Where words stand that open a label, in order, with the labels."""
        if lowered.isascii():
            letters = lowered.encode().translate(_SPACED).decode()
        else:
            letters = _NO_LETTER.sub(" ", lowered)
        choose = self._by_word.get
        at = 0
        for word in letters.split(" "):
            chosen = choose(word[:FIRST])
            if chosen is not None:
                yield at, chosen
            at += len(word) + 1

    def _at(
        self, text: str, at: int, chosen: tuple[int, ...], last: int, found: list[Finding]
    ) -> None:
        for i in chosen:
            if i == self._titled:
                match = TITLED.match(text, at)
                if match is not None:
                    found.append(Finding((), *match.span("v"), "PERSON", 0.85, "labels:title"))
                continue
            label, pattern, digits = self._labels[i]
            if at < last or not digits:
                match = pattern.match(text, at)
                if match is not None:
                    found += _judged(label, match)


def _last_digit(text: str) -> int:
    """Where the last digit stands, or behind it; -1 if there is none."""
    if text.isascii():
        return max(map(text.rfind, "0123456789"))
    return len(text) if _DIGIT.search(text) is not None else -1


def _judged(label: Label, match: re.Match[str]) -> Iterator[Finding]:
    start, end = match.span("v")
    value = match["v"]
    if not _is_value(label.entity, match, value):
        return
    tail = _CLOSING.search(value)
    end -= len(tail.group()) if tail else 0
    yield Finding((), start, end, label.entity, label.score, f"labels:{label.entity.lower()}")


def _is_value(entity: str, match: re.Match[str], value: str) -> bool:
    """Whether what stands behind a label is no type, no variable, no sentence."""
    text, said = match.string, match.group()
    name = text[match.start() : match.start("v")].lower()
    if "=" in name and text[match.end("v") : match.end("v") + 1] == "(":  # handle = getattr(f, …)
        return False
    if entity == "USERNAME" and value.lower() in name:  # self.username = username
        return False
    if entity != "IP_ADDRESS" and _MACHINE.fullmatch(value):  # client: 10.1.4.22
        return False
    if entity == "VEHICLE_ID" and len(value) < 3:  # tag 1
        return False
    inner = _INNER.get(entity)
    longer = match.start() > 0 and text[match.start() - 1] == "_"
    if inner and longer and said.lower().startswith(inner):  # resource_name, STDIN_HANDLE
        return False
    if entity == "PERSON":
        if _GOES_ON.match(text, match.end("v")):  # {name: LOG_LEVEL}
            return False
        keyword = value.isupper() and " " not in value and "=" in said  # name='STOP' in a program
        return NOT_NAMES.match(value) is None and not keyword
    if entity == "SECRET" and not _random(value):
        return False
    if entity == "CASE_NUMBER":
        return _NOBODYS.match(value) is None
    if "licen" in said.lower() and (spdx.LICENCE.fullmatch(value) or _VERSION.fullmatch(value)):
        return False
    if entity in _PROGRAMMED and text[match.start("v") - 1] not in "\"'":
        if entity in _SIGNS:
            return not (_CHAIN.fullmatch(value) and ("=" in said or '"' in said))
        return _VARIABLE.fullmatch(value) is None
    return True


def _random(value: str) -> bool:
    """Not a plain word, which after "password:" is more often a type or a sentence."""
    plain = value.isalpha() and (value.islower() or value[1:].islower())
    return no_placeholder(value) and not plain and "(" not in value
