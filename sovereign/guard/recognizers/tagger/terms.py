"""Words that texts write large and that name nobody: "Leber", "Buchhaltung", "Lipitor", "Riassumi".

German writes every noun as it writes a name, and every request begins with a capital; in a short
line little else tells them from names. Many are somebody's surname, too; then a title, a first
name, or a verb of saying tells so.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

from sovereign.guard.recognizers.tagger import cues

__all__ = ["SURE", "are_terms", "large_words", "spoken_of"]

SURE: Final = 0.95
"""The score from which a term that is somebody's surname, too, is taken for one."""

_WORDS = re.compile(r"[^\W\d_]+")
_TITLE = re.compile(
    r"(?i)(?<!\w)(?:frau|fr|herrn?|hr|dr|med|prof|professor|schwester|pfleger|patient|patientin|"
    r"kollege|kollegin|klient|klientin|familie|fam|eheleute|"
    r"mr|mrs|ms|miss|mister|sir|mme|mlle|monsieur|madame|sr|sra|señora?|senhora?|don|doña|dona|"
    r"sig|signora?|dott|avv|mevrouw|mevr|meneer|dhr|de heer|pana?|pani|"
    r"(?:nach|vor|familien|geburts|zu)?name|surname|geb|geborene)[.:]{0,2} {0,2}\Z"
)
_FAR = 24


def large_words(value: str) -> list[str]:
    """The words of ``value`` that are not in small letters."""
    return [word for word in _WORDS.findall(value) if not word.islower()]


def are_terms(value: str) -> bool:
    """Whether all words of ``value`` that it writes large are terms, and there is one."""
    large = large_words(value)
    return bool(large) and all(
        word in _terms() or (_loud(word) and word.capitalize() in _terms()) for word in large
    )


def _loud(word: str) -> bool:
    """In capitals, and too long for an abbreviation: "USA" is no Italian verb."""
    return len(word) > 4 and word.isupper()


def spoken_of(text: str, start: int, end: int) -> bool:
    """Whether what stands right beside ``text[start:end]`` says that it is a person after all."""
    if _TITLE.search(text, max(0, start - _FAR), start):
        return True
    return cues.beside(text, start, end)


@cache
def _terms() -> frozenset[str]:
    data = resources.files("sovereign.guard.recognizers").joinpath("data", "terms.txt")
    lines = data.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
