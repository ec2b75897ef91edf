"""Labels of many languages, against sentences written for them, and what is no label."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.guard.recognizers.rules import RulesRecognizer
from sovereign.guard.views import readings

VECTORS = Path(__file__).parents[4] / "vectors" / "labels.txt"
LINES = [
    tuple(line.split("\t"))
    for line in VECTORS.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
RECOGNIZERS = (LabelsRecognizer(), RulesRecognizer())


@pytest.mark.parametrize("language", sorted({language for language, _ in LINES}))
def test_what_a_label_names_is_found_in(language: str) -> None:
    """Without the tagger: whole, whatever it is called."""
    missed = []
    for marked in (text for known, text in LINES if known == language):
        start, end = marked.index("[["), marked.index("]]") - 2
        text = marked.replace("[[", "").replace("]]", "")
        seen = bytearray(len(text))
        for reading in readings(text):
            for recognizer in RECOGNIZERS:
                for found in recognizer.recognize(reading.text):
                    place = reading.origin(found.start, found.end)
                    if place is not None and found.entity != "DATE_TIME":
                        seen[place[0] : place[1]] = b"\1" * (place[1] - place[0])
        if not all(seen[i] for i in range(start, end) if text[i].isalnum()):
            missed.append(text)
    assert missed == []


def test_there_are_labels_of_many_languages() -> None:
    """The corpus is worth what it holds."""
    assert len({language for language, _ in LINES}) >= 20
    assert len(LINES) >= 190


@pytest.mark.parametrize(
    "text",
    [
        "client = boto3.client('s3')",
        "from kubernetes.aio.client.models.v1 import Pod",
        "self.username = self.config.username",
        "user = None",
        ":param table_name: The name of the table",
        "resource_name: Optional",
        "STDIN_HANDLE = GetStdHandle(-10)",
        "password = settings.EMAIL_HOST_PASSWORD",
        "private_key = serialization.load_pem_private_key(data)",
        "| Test | Reference | Unit |\n|---|---|---|\n| Sodium | 135-145 | mmol/L |",
        "a worker puts in 40 hours a week",
        "ticket 48213 and incident 7712 of order 4417-22, invoice 2026-114",
        "das Auto fährt 120 km/h, der Wagen A4 2020 ist ein Fahrzeug der Klasse B",
        "Born in the USA is a record of 1984",
        "the kit has 12 parts, lot of 250",
        "whenever a signal is called, the agent: replies.",
        "my plate was full, and the reg office closed at 5",
    ],
)
def test_programs_and_sentences_are_no_labels(text: str) -> None:
    """The same words, as programs and people use them."""
    assert [f.recognizer for f in LabelsRecognizer().recognize(text)] == []
