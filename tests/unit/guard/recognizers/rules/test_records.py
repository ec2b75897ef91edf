"""Records that show by where they stand, and what only looks alike."""

from __future__ import annotations

import pytest

from sovereign.guard.recognizers.rules import RulesRecognizer

FOUND = {
    "see 3:21-cv-00418-ABC for the order": "3:21-cv-00418-ABC",
    "in 24-CR-1870 the court held": "24-CR-1870",
    "Urteil vom 4. Mai, 12 O 441/23, rechtskräftig": "12 O 441/23",
    "appeal HU/04418/2023 was heard": "HU/04418/2023",
    'GET /patients/4418290/labs HTTP/1.1"': "4418290",
    "/api/v1/Members/XYPQRTSLK?x=1": "XYPQRTSLK",
    '10.0.0.1 - k.marlowe [11/Feb/2026:08:22:10 +0000] "GET / HTTP/1.1"': "k.marlowe",
    "DATABASE_URL=postgres://kmarlowe:s3cr3tpw1@db/x": "kmarlowe",
    "k.marlowe  10:31\nhello there\nruben  10:32\nhi": "ruben",
}
QUIET = (
    "chapter 3-4, pages 12-18, 1/23 of it",
    "GET /users/me/settings and /orders/new",
    "postgres://postgres:postgres@localhost/test",
    "Lunch 12:30\nMeeting 14:00\n",
    "12 C 3/4 cups",
)


@pytest.mark.parametrize("text", FOUND)
def test_a_record_is_found_by_its_place(text: str) -> None:
    """Without a label."""
    value = FOUND[text]
    assert value in {text[f.start : f.end] for f in RulesRecognizer().recognize(text)}


@pytest.mark.parametrize("text", QUIET)
def test_what_looks_alike_is_none(text: str) -> None:
    """Pages, routes, services, schedules."""
    found = [f for f in RulesRecognizer().recognize(text) if f.entity not in ("DATE_TIME", "URL")]
    assert found == []
