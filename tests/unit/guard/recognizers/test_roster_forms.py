"""One canonical form for every way to write a name or number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.guard.recognizers.roster_forms import (
    FULL,
    INITIAL,
    SURNAME,
    code_of,
    code_runs,
    name_forms,
    phone_forms,
    tokens_of,
    wordy,
)

SAME = (
    ("Jürgen Müller", "JUERGEN MUELLER"),
    ("Seán O'Brien", "Sean O’BRIEN"),
    ("Łukasz Żółć", "Lukasz Zolc"),
    ("Søren Ångström", "Soren Angstrom"),
)


@pytest.mark.parametrize("pair", SAME)
def test_accents_case_and_punctuation_do_not_matter(pair: tuple[str, str]) -> None:
    """Each system spells them its own way."""
    assert tokens_of(pair[0]) == tokens_of(pair[1])


def test_a_name_has_its_variants() -> None:
    """Order by sorting; middle names, initials, particles and titles may be there or not."""
    assert set(name_forms("Dr. Maria Keller, MD")) == set(name_forms("Maria Keller"))
    assert (FULL, "keller maria") in name_forms("Maria van Keller")
    assert (FULL, "keller maria") in name_forms("Maria Keller")
    assert name_forms("Keller, Maria")[0] == name_forms("Maria Keller")[0]
    middle = name_forms("Maria Anna Keller")
    assert {(FULL, "keller maria"), (INITIAL, "keller m"), (INITIAL, "a keller maria")} <= set(
        middle
    )
    assert (SURNAME, "keller") in middle


@pytest.mark.parametrize("name", ["", "Cher", "Dr. Keller", "M.", "12", "Keller,"])
def test_a_single_word_is_no_name(name: str) -> None:
    """It would flag every text that holds the word."""
    assert all(kind != FULL for kind, _ in name_forms(name))


def test_codes_need_six_characters_and_a_digit() -> None:
    """Shorter ones, and words, point at nobody."""
    assert code_of("mr-004 829") == "MR004829"
    assert code_of("12345") == ""
    assert code_of("ABCDEFGH") == ""


def test_phone_numbers_lose_what_depends_on_the_caller() -> None:
    """Country code, trunk zero."""
    home = set(phone_forms("0301234567", plus=False))
    assert home & set(phone_forms("49301234567", plus=True))
    assert home & set(phone_forms("490301234567", plus=True))
    assert home & set(phone_forms("0049301234567", plus=False))
    assert set(phone_forms("2125550143", plus=False)) & set(phone_forms("12125550143", plus=False))


def test_plain_words_are_told_from_names() -> None:
    """ "will may" in lower case is no person, "maria keller" is one."""
    assert wordy(["may", "will"])
    assert wordy(["rich", "man"])
    assert not wordy(["keller", "maria"])
    assert not wordy(["john", "smith"])


@given(st.text(max_size=300))
def test_runs_lie_in_the_text_in_order(text: str) -> None:
    """A law: offsets are of the text, whatever it holds."""
    last = 0
    for run in code_runs(text):
        assert any(c.isdigit() for _, _, g in run for c in g)
        for start, end, group in run:
            assert last <= start < end <= len(text)
            assert text[start:end].upper() == group
            last = end
