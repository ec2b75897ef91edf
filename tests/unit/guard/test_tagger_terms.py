"""Words that are written as names are: what a German chart calls an organ, or an Italian request
begins with, is nobody, until a title, a first name or what is said of it makes somebody of it."""

from __future__ import annotations

import pytest

from sovereign.guard.recognizers.tagger import Tagger, terms


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger()


def persons(tagger: Tagger, text: str) -> list[str]:
    return [text[f.start : f.end] for f in tagger.recognize(text) if f.entity == "PERSON"]


@pytest.mark.parametrize(
    "text",
    [
        "Leber und Milz unauffällig, Niere links mit kleiner Zyste.",
        "Befund: Herz, Lunge, Leber ohne Befund.",
        "Röntgen Thorax: kein Erguss, kein Infiltrat.",
        "Buchhaltung prüft die Rechnung bis Freitag.",
        "BUCHHALTUNG prüft die Rechnung bis Freitag.",
        "Fieber, Husten und Schnupfen seit drei Tagen.",
        "Aspirin, Lisinopril and Lipitor continued at discharge.",
        "Riassumi la direttiva in tre punti.",
        "Dammi una tabella con i dati del trimestre.",
        "Reescreva a diretiva em três pontos.",
        "Evalúa la directiva en tres puntos.",
        "Nenne die Richtlinie in drei Punkten.",
        "Stwórz tabelę z danymi za kwartał.",
    ],
)
def test_a_term_is_nobody(tagger: Tagger, text: str) -> None:
    assert not persons(tagger, text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Frau Leber hat angerufen.", "Leber"),
        ("Herr Herz kam gestern zur Sprechstunde.", "Herz"),
        ("Leber hat angerufen und um Rückruf gebeten.", "Leber"),
        ("Anna Leber, geboren am 3.4.1970, wohnt in Köln.", "Anna Leber"),
        ("Zucker, Martin: Termin am 4. Mai", "Zucker"),
        ("Peter Bauch und Maria Knie kommen morgen.", "Maria Knie"),
        ("Die Patientin Magen wurde entlassen.", "Magen"),
        ("Nachname: Fieber", "Fieber"),
        ("Dr. Knie übernimmt die Station.", "Knie"),
        ("Mr. Zucker called about the invoice.", "Zucker"),
        ("Signora Genera ha chiamato.", "Genera"),
        ("Maria Crea ha scritto ieri.", "Maria Crea"),
        ("Mevrouw Haal heeft gebeld.", "Haal"),
    ],
)
def test_one_who_is_called_so_is_found(tagger: Tagger, text: str, name: str) -> None:
    assert name in persons(tagger, text)


def test_a_patients_findings_are_not_hidden_beside_the_name(tagger: Tagger) -> None:
    """What is likely counts beside what is sure: so each organ did, on a chart with a name."""
    text = "Patientin Anna Schmidt, geb. 3.4.1970. Befund: Herz, Lunge, Leber ohne Befund."
    assert persons(tagger, text) == ["Anna Schmidt"]


@pytest.mark.parametrize("value", ["Leber", "LEBER", "Bauch weich", "Herz, Lunge"])
def test_what_is_written_large_has_to_be_a_term(value: str) -> None:
    assert terms.are_terms(value)


@pytest.mark.parametrize("value", ["Leber Okonkwo", "leber", "weich", ""])
def test_what_is_no_term(value: str) -> None:
    assert not terms.are_terms(value)
