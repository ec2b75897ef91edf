"""One sentence or more for every entity of the shipped policies: each value is found."""

from __future__ import annotations

from functools import lru_cache

import pytest
from entity_corpus import Entry, corpus

from sovereign.guard.recognizers import build
from sovereign.guard.recognizers.gender import GenderRecognizer
from sovereign.guard.recognizers.nrp import NrpRecognizer
from sovereign.guard.recognizers.rules.forms import FORMS
from sovereign.policy import load_policy, presets
from sovereign.types import Recognizer

ENTRIES = corpus()


@lru_cache(maxsize=1)
def recognizers() -> list[Recognizer]:
    return [*build("tagger"), GenderRecognizer(), NrpRecognizer()]


def found(entry: Entry) -> set[str]:
    _, text, start, end = entry
    return {
        f.entity
        for r in recognizers()
        for f in r.recognize(text)
        if f.start <= start and end <= f.end and f.score >= 0.4
    }


@pytest.mark.parametrize("entry", ENTRIES, ids=[f"{e[0]}-{i}" for i, e in enumerate(ENTRIES)])
def test_the_value_is_found(entry: Entry) -> None:
    """Whole, under whatever name: a policy that holds one back holds the other."""
    assert found(entry)


@pytest.mark.parametrize("entity", sorted({e[0] for e in ENTRIES}))
def test_every_entity_is_found_under_its_own_name(entity: str) -> None:
    """Or a policy that names it would do nothing."""
    assert any(entity in found(e) for e in ENTRIES if e[0] == entity)


def test_every_entity_of_the_policies_has_an_entry() -> None:
    """What a policy promises, somebody finds."""
    promised = {
        e for p in presets() for t in (load_policy(preset=p).hosted,) for e in t if e != "*"
    }
    assert promised <= {e[0] for e in ENTRIES}


def test_national_identifiers_of_thirty_countries_have_a_form() -> None:
    """By the entity's country; "UK_NHS" and "UK_NINO" count once."""
    countries = {f.entity.partition("_")[0] for f in FORMS if f.entity[2:3] == "_"}
    assert len(countries) >= 40
