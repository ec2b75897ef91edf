"""GENDER is found where it is written as such, and not in the words around it."""

from __future__ import annotations

import pytest

from sovereign.guard.recognizers.gender import GenderRecognizer

FOUND = {
    "Sex: F": "F",
    '"gender": "female"': "female",
    "Gender = M,": "M",
    "Geschlecht: weiblich": "weiblich",
    "Sexo: mujer": "mujer",
    "a 54-year-old woman": "woman",
    "54F with chest pain": "F",
    "67 yo M": "M",
    "the patient is female": "female",
    "PID|1||1||DOE^J||19840312|F|": "F",
}
QUIET = ("Form F is attached", "12 M records", "women and men", "man pages", "grade F", "5 MB, 3 F")


@pytest.mark.parametrize("text", FOUND)
def test_a_written_sex_is_found(text: str) -> None:
    """In forms, JSON, prose, clinical shorthand and HL7."""
    values = {text[f.start : f.end] for f in GenderRecognizer().recognize(text)}
    assert values == {FOUND[text]}


@pytest.mark.parametrize("text", QUIET)
def test_single_letters_and_plurals_are_no_sex(text: str) -> None:
    """A lone F is a grade, a form or a temperature."""
    assert [text[f.start : f.end] for f in GenderRecognizer().recognize(text)] == []
