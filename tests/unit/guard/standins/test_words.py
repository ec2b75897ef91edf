"""Stand-ins of names keep gender, case and order; one word has one stand-in everywhere."""

from __future__ import annotations

import re

import pytest

from sovereign.guard.standins import words
from sovereign.guard.surrogates import Surrogates


def made(entity: str, *values: str, texts: list[str] | None = None) -> list[str]:
    surrogates = Surrogates(b"k" * 32, "clinic", texts or list(values), "realistic")
    return [surrogates.of(entity, value) for value in values]


def gender(name: str) -> str:
    return words._genders()[name.lower()]


def test_a_name_is_one_person_in_every_spelling() -> None:
    """So that a model can follow who is who, and a reply about "Hansson" is restored."""
    full, short, shout, listed = made(
        "PERSON", "Maria Keller", "Keller", "MARIA KELLER", "Keller, Maria J."
    )
    given, surname = full.split()
    assert short == surname
    assert shout == full.upper()
    assert re.fullmatch(rf"{surname}, {given} [A-Z]\.", listed)


def test_the_gender_of_a_known_given_name_is_kept() -> None:
    """ "She" in a letter must still fit."""
    for name, sex in (("Maria", "f"), ("Sofia", "f"), ("Lukas", "m"), ("Omar", "m")):
        assert gender(made("PERSON", f"{name} Keller")[0].split()[0]) == sex


def test_a_stand_in_that_somebody_wrote_is_not_given_out() -> None:
    """Else a reply would turn the real Hansson of the request into Keller."""
    first = made("PERSON", "Keller")[0]
    assert made("PERSON", "Keller", texts=[f"Keller and {first.lower()} met"])[0] != first


def test_two_names_never_share_a_stand_in() -> None:
    """A shared one could not be restored."""
    names = [f"Person{chr(97 + i)}{chr(97 + j)}" for i in range(26) for j in range(15)]
    assert len({s.casefold() for s in made("PERSON", *names)}) == len(names)


@pytest.mark.parametrize(
    ("entity", "value", "form"),
    [
        ("EMAIL_ADDRESS", "m.keller84@klinik-nord.de", r"[a-z]\.[a-z]+\d\d@example\.(com|net|org)"),
        ("USERNAME", "r_achter88", r"[a-z]_[a-z]+\d\d"),
        (
            "STREET_ADDRESS",
            "48 Harrow Lane, Leeds LS1 4AB",
            r"\d\d \w+ Lane, \w+ [A-Z]+\d \d[A-Z]+",
        ),
        ("STREET_ADDRESS", "Am Hang 12, 60311 Mainz, IL", r"\w+ \w+ \d\d, \d{5} \w+, IL"),
        ("ORGANIZATION", "Nordlicht Versicherung AG", r"[A-Z][a-z]+ Versicherung AG"),
        ("LOCATION", "Rotterdam", r"[A-Z][a-z]+"),
    ],
)
def test_a_stand_in_has_the_form_of_its_value(entity: str, value: str, form: str) -> None:
    """The kind of street, the legal form and the order stay; names and numbers do not."""
    [one] = made(entity, value)
    assert re.fullmatch(form, one), one
    kept = {w.lower() for w in re.findall(r"[^\W_]{4,}", one)} & {
        w.lower() for w in re.findall(r"[^\W_]{4,}", value)
    }
    assert kept <= {"lane", "versicherung"}


@pytest.mark.parametrize("value", ["王小明", "Мария Келлер", "P", "von der"])
def test_names_that_cannot_be_made_safely_keep_their_tag(value: str) -> None:
    """Other scripts, single letters: a tag is always right."""
    assert made("PERSON", value)[0].startswith("PERSON_")


def test_a_name_that_touches_letters_keeps_its_tag() -> None:
    """ "Keller2" in the middle of a word: where it ends could not be told in the reply."""
    surrogates = Surrogates(b"k" * 32, "clinic", ["xKeller2"], "realistic")
    assert surrogates.of("PERSON", "Keller", glued=True).startswith("PERSON_")


def test_teams_and_keys_have_stand_ins_of_their_own() -> None:
    """Two hospitals that compare their prompts must not find the same patient."""
    every = {
        Surrogates(key, team, ["Keller"], "realistic").of("PERSON", "Keller")
        for key in (b"k" * 32, b"j" * 32)
        for team in ("a", "b")
    }
    assert len(every) == 4
