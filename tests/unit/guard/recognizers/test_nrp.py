"""Origin, faith and politics of a person are found; of wine, courses and food they are nothing."""

from __future__ import annotations

import time

import pytest

from sovereign.config import GuardConfig
from sovereign.guard.recognizers import from_config
from sovereign.guard.recognizers.nrp import NrpRecognizer
from sovereign.policy import load_policy

FOUND = {
    "Nationality: Kenyan": "Kenyan",
    "religion: Roman Catholic, married": "Roman Catholic",
    "a 45-year-old Somali woman with fever": "Somali",
    "She is Jewish and keeps kosher.": "Jewish",
    "he was a registered Democrat until 2019": "Democrat",
    "Staatsangehörigkeit: syrisch": "syrisch",
    "Konfession: evangelisch": "evangelisch",
    "mujer ecuatoriana de 65 años": "ecuatoriana",
    "patiente d'origine algérienne": "algérienne",
    "paziente albanese di 50 anni": "albanese",
    '{"ethnicity": "Hispanic"}': "Hispanic",
    "国籍：ベトナム": "ベトナム",
}
QUIET = (
    "French wine and Italian cheese",
    "I take a Polish course on Mondays.",
    "the German translation of the manual",
    "a green apple and conservative estimates",
    "race condition: two threads write",
    "the party starts at eight",
)


@pytest.mark.parametrize("text", FOUND)
def test_what_somebody_is_is_found(text: str) -> None:
    """With a label, beside a person, or said of one."""
    value = FOUND[text]
    assert value in {text[f.start : f.end] for f in NrpRecognizer().recognize(text)}


@pytest.mark.parametrize("text", QUIET)
def test_the_same_words_of_things_are_nothing(text: str) -> None:
    """A nationality of wine is nobody's."""
    assert [text[f.start : f.end] for f in NrpRecognizer().recognize(text)] == []


def test_it_runs_only_where_a_policy_acts_on_it() -> None:
    """Whoever lets it pass does not pay for it."""
    settings = GuardConfig(ner="none")
    gdpr, direct = load_policy(preset="gdpr"), load_policy(preset="direct")
    assert "nrp" in [r.name for r in from_config(settings, policy=gdpr)]
    assert "nrp" not in [r.name for r in from_config(settings, policy=direct)]


@pytest.mark.parametrize("unit", ["jewish ", "religion: ", "she is a "])
def test_its_time_is_linear(unit: str) -> None:
    """Eight times the text may take about eight times as long."""

    def spent(size: int) -> float:
        start = time.process_time()
        NrpRecognizer().recognize((unit * size)[:size])
        return time.process_time() - start

    spent(500)
    assert spent(32_000) < 40 * max(spent(4_000), 0.005)
