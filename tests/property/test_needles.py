"""Values are found in many texts as in each of them, in whatever script."""

from __future__ import annotations

from hypothesis import given
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


@given(st.text(), st.text())
def test_folding_goes_letter_by_letter(before: str, after: str) -> None:
    """So that a value is found whatever stands around it: "Νίκος" and "ΝΊΚΟΣ,"."""
    assert fold(before + after) == fold(before) + fold(after)
    assert len(fold(before)) == len(before)
