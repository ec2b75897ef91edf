"""The shipped recognisers: what each sees, what it must not, and how it fails."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from sovereign.errors import ConfigError, RecognizerFailed
from sovereign.guard.recognizers import build
from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.guard.recognizers.presidio import PresidioRecognizer, import_presidio, predefined
from sovereign.guard.recognizers.rules import RulesRecognizer
from sovereign.types import Recognizer

LABELLED = {
    "MRN: 00482913": ("MEDICAL_RECORD_NUMBER", "00482913"),
    "Patienten-Nr. 77-1203": ("MEDICAL_RECORD_NUMBER", "77-1203"),
    "member ID XYP482913004": ("MEMBER_ID", "XYP482913004"),
    "policy number: P-100-2210": ("POLICY_NUMBER", "P-100-2210"),
    "claim no. CLM-77192": ("CLAIM_NUMBER", "CLM-77192"),
    '"account_number": "00120034"': ("ACCOUNT_NUMBER", "00120034"),
    "account ending in 4821": ("ACCOUNT_NUMBER", "4821"),
    "Case No. 2:21-cv-01234": ("CASE_NUMBER", "2:21-cv-01234"),
    "employee id: E10442": ("EMPLOYEE_ID", "E10442"),
    "DOB 03/12/1984": ("DATE_OF_BIRTH", "03/12/1984"),
    "geboren am 12.03.1984": ("DATE_OF_BIRTH", "12.03.1984"),
    "password: hunter2": ("SECRET", "hunter2"),
    "API_KEY=abc123def456": ("SECRET", "abc123def456"),
    "first_name: maria": ("PERSON", "maria"),
    "Dr. Okonjo called": ("PERSON", "Okonjo"),
    "CVV 123": ("CARD_SECURITY_CODE", "123"),
    "PIN: 4821": ("PIN", "4821"),
    "zip code 02139": ("US_POSTAL_CODE", "02139"),
}
FORMED = {
    "at 12 Winterbourne Road, Apt 4": ("STREET_ADDRESS", "12 Winterbourne Road, Apt 4"),
    "wohnt Lindenstraße 14": ("STREET_ADDRESS", "Lindenstraße 14"),
    "mail x.y+z@mail.example.org.": ("EMAIL_ADDRESS", "x.y+z@mail.example.org"),
    "VIN 1HGCM82633A004352": ("VEHICLE_ID", "1HGCM82633A004352"),
    "call +44 20 7946 0958": ("PHONE_NUMBER", "+44 20 7946 0958"),
}
QUIET = (
    "the case study and the policy of the member states",
    "password: str = Field(...)",
    "pin the message, claim the prize, file the report",
    "patient was seen today",
    "The token is valid.",
    "name: None",
    "3 way street",
)


def seen(recognizer: Recognizer, text: str) -> set[tuple[str, str]]:
    return {(f.entity, text[f.start : f.end]) for f in recognizer.recognize(text)}


@pytest.mark.parametrize("text", LABELLED)
def test_a_label_makes_an_identifier(text: str) -> None:
    """In prose, forms, JSON and code."""
    assert LABELLED[text] in seen(LabelsRecognizer(), text)


@pytest.mark.parametrize("text", FORMED)
def test_the_form_makes_an_identifier(text: str) -> None:
    """Without any label."""
    assert FORMED[text] in seen(RulesRecognizer(), text)


@pytest.mark.parametrize("text", QUIET)
def test_ordinary_words_are_no_identifiers(text: str) -> None:
    """The same words, in plain sentences and code."""
    assert seen(LabelsRecognizer(), text) | seen(RulesRecognizer(), text) == set()


@pytest.mark.parametrize(
    "text", ["a" * 400_000, "@" * 100_000, "a@" * 50_000, "1 " * 200_000, "." * 200_000]
)
def test_rules_take_linear_time(text: str) -> None:
    """A regular expression on one long line must not hang the door."""
    start = time.process_time()
    RulesRecognizer().recognize(text[:32_768])
    LabelsRecognizer().recognize(text[:32_768])
    assert time.process_time() - start < 3


def test_presidio_recognisers_load_with_those_that_ship_disabled() -> None:
    """MBI, NPI, national identifiers: all on, since labels and checksums keep them quiet."""
    names = {r.name for r in predefined()}
    assert {"UsMbiRecognizer", "UsNpiRecognizer", "NhsRecognizer", "DeTaxIdRecognizer"} <= names
    assert len(names) > 70


def test_a_bare_number_needs_its_label_even_if_a_checksum_fits() -> None:
    """One number in ten passes modulo 11: without "NHS" before it, it is a number."""
    nhs = next(r for r in predefined() if r.name == "NhsRecognizer")
    assert max(f.score for f in nhs.recognize("total 9434765919")) < 0.4
    assert max(f.score for f in nhs.recognize("NHS number 9434765919")) == 1.0


def test_a_teams_own_presidio_recogniser_runs_unchanged() -> None:
    """From its dictionary, as its YAML registry holds it."""
    module = import_presidio()
    own = module.PatternRecognizer.from_dict(
        {
            "name": "Badge",
            "supported_entity": "BADGE",
            "supported_language": "en",
            "patterns": [{"name": "badge", "regex": r"\bB-\d{3}\b", "score": 0.2}],
            "context": ["badge"],
        }
    )
    (found,) = PresidioRecognizer(own).recognize("his badge is B-123")
    assert (found.entity, found.recognizer, found.score) == ("BADGE", "Badge", 0.55)


def test_a_pattern_that_runs_out_of_time_fails_and_is_not_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Presidio itself logs a warning and goes on, which would let the value out."""
    module = import_presidio()
    bomb = module.Pattern("bomb", r"(?:a|aa)+$", 0.5)
    own = module.PatternRecognizer("X", name="Own", patterns=[bomb])
    monkeypatch.setattr("sovereign.guard.recognizers.presidio.TIMEOUT_S", 0.05)
    with pytest.raises(RecognizerFailed, match=r"Own.*bomb"):
        PresidioRecognizer(own).recognize("a" * 60 + "b")


def test_nothing_of_presidio_reaches_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its e-mail validator fetches the public suffix list unless it is pinned."""
    import_presidio()

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    (found,) = PresidioRecognizer(EmailRecognizer()).recognize("to a.b@northvale.co.uk now")
    assert found.score == 1.0


@pytest.mark.parametrize("ner", ["spacy:", "spacy:no_such_package", "bert", ""])
def test_an_unknown_recogniser_of_names_is_a_configuration_error(ner: str) -> None:
    """A typing error must not open the door without the guard."""
    with pytest.raises(ConfigError):
        build(ner)


def test_a_plugin_that_nobody_installed_is_a_configuration_error() -> None:
    """Named is wanted; wanted and missing is refused."""
    with pytest.raises(ConfigError, match="no plugin"):
        build("none", ("no_such_plugin",))


def test_the_default_path_imports_nothing_of_presidio() -> None:
    """It would cost two seconds and spaCy at every start; a switch loads it where it is wanted."""
    code = (
        "import sys; from sovereign.guard.recognizers import build; build();"
        "sys.exit(any(m in sys.modules for m in ('presidio_analyzer', 'spacy', 'phonenumbers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert len(build("none", presidio=True)) > 70
