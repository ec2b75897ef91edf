"""Values are found in many texts as in each of them, in whatever script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard.needles import Needles
from sovereign.guard.normalise import fold, normalise
from sovereign.guard.views import Mapped

WORDS = st.sampled_from(
    [
        *("Maria", "maria", "MARIA Keller", "Νίκος", "ΝΊΚΟΣ", "İpek Öz", "ipek", "山田太郎"),
        *("4111 1111 1111 1111", "512-47-3391", "5124", "73391", "00482913", "K7Q2MX4D"),
        *("Will", "will", "Straße", "STRASSE", "ß", "ς", "\u0130", " ", "\n", ",", ".", "\0"),
    ]
)
TEXTS = st.lists(st.lists(WORDS, max_size=6).map("".join), max_size=6)


@given(TEXTS, st.lists(WORDS, max_size=5))
def test_many_texts_are_looked_through_as_each_of_them(texts: list[str], values: list[str]) -> None:
    """Nothing is found across two of them, and nothing is missed for what stands in another."""
    needles = Needles()
    for value in values:
        needles.add(value, "PERSON")
    plain = [normalise(Mapped(text)).text for text in texts]
    each = [(n, *found) for n, text in enumerate(plain) for found in needles.find(text)]
    assert sorted(needles.find_in(plain)) == sorted(each)


NUMBERS = st.sampled_from(
    [*"0123456789", "512-47-3391", "512473391", "5124 73391", "\u0663", "\u0966", "\u00b2",
     "\uff11", *" -./x\n\u00e4\u2003"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(NUMBERS, max_size=40).map("".join), st.lists(NUMBERS, min_size=1, max_size=12))
def test_a_first_look_at_the_digits_of_a_text_misses_no_number(text: str, value: list[str]) -> None:
    """Whether its digits stand there at all is asked first. Numbers of other scripts count."""
    needles = Needles()
    for one in (text[3:14], text[8:15], "".join(value)):
        needles.add(one, "NUMBER")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sovereign.guard.needles._digits", lambda _: None)
        slow = sorted(needles.find(text))
    assert sorted(needles.find(text)) == slow


@given(st.text(), st.text())
def test_folding_goes_letter_by_letter(before: str, after: str) -> None:
    """So that a value is found whatever stands around it: "Νίκος" and "ΝΊΚΟΣ,"."""
    assert fold(before + after) == fold(before) + fold(after)
    assert len(fold(before)) == len(before)


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(["123456", "12-34-56", "1234 5678", "12345678", "77"]), min_size=1),
    st.sampled_from(["123456", "12345678", "123 456"]),
    st.lists(st.sampled_from([" ", ", ", "-", " and "]), min_size=1),
)
def test_what_stands_beside_a_number_hides_it_from_no_search(
    numbers: list[str], value: str, between: list[str]
) -> None:
    """A value is looked for before and after values are taken out. What was found in the first
    search is cut out, so the second must not find what its neighbours hid from the first: that
    refused "MRN 12345678, 1234 5678 12345678"."""
    text = "".join(n + between[i % len(between)] for i, n in enumerate(numbers))
    needles = Needles()
    needles.add(value, "NUMBER")
    found = sorted(needles.find(text))
    cut, at = "", 0
    for start, end, _ in found:
        if start >= at:
            cut += text[at:start] + "|"
        at = max(at, end)
    assert not list(needles.find(cut + text[at:]))
