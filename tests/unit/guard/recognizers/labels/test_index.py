"""The index of labels: a label whose first letters it forgets would never be looked for."""

from __future__ import annotations

import pytest

from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.guard.recognizers.labels.index import by_opening, openings

PATTERNS = {
    "mrn|chart": {"mrn", "chart"},
    r"med(?:ical)?\.?[\s_]rec": {"med", "medic"},
    r"d\.?o\.?b": {"d", "do", "dob"},
    r"f[øo]dsels": {"fødse", "fodse"},
    r"(?:first|last)[\s_]?name": {"first", "last", "lastn"},
    r"(?:pre)?paid": {"prepa", "paid"},
    r"a/c|ip": {"a", "ip"},
    r"acct?s": {"accs", "accts"},
    r"id(?:s)?": {"id", "ids"},
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_openings_are_the_first_letters(pattern: str) -> None:
    """Of every word that the pattern can begin with; fewer where the word is over."""
    assert openings(pattern) == PATTERNS[pattern]


@pytest.mark.parametrize("pattern", ["", "(?:a)?", "a)b"])
def test_a_pattern_that_could_begin_anywhere_is_refused(pattern: str) -> None:
    """It would be forgotten in silence."""
    with pytest.raises(ValueError, match=r"begin|unbalanced"):
        openings(pattern)


def test_one_opening_leads_to_all_its_patterns() -> None:
    """Labels share their first letters."""
    assert by_opening(["member", "membership", "case"])["membe"] == (0, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Klantnummer CUST-300449", "CUST-300449"),
        ('{"customer":{"id":"C6532854"}}', "C6532854"),
        ("NºCol: 28 28 20357", "28 28 20357"),
        ("TX DL RE626982S", "RE626982S"),
        ("EIN 20-3696980", "20-3696980"),
        ("PATIENT ID: 77-1203", "77-1203"),
        ("Dña. Nicola West", "Nicola West"),
        ("身份证号 11010519491231002X", "11010519491231002X"),
        ("DB_PASSWORD=hunter2x9", "hunter2x9"),
    ],
)
def test_labels_of_many_languages_are_found_by_their_first_letters(text: str, value: str) -> None:
    """As the pattern alone would find them."""
    assert value in {text[f.start : f.end] for f in LabelsRecognizer().recognize(text)}


@pytest.mark.parametrize("text", ["Ref INC-317800 closed", "address. Applications take 13 days"])
def test_numbers_of_no_person_are_none(text: str) -> None:
    """Tickets of a help desk, and a sentence that begins after a word that is also a label."""
    assert LabelsRecognizer().recognize(text) == []
