"""The page stands alone, escapes what it quotes, and quotes only when the report does."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from sovereign.guard.evaluate import Missed, Rate, Report
from sovereign.guard.evaluation_page import _card, _row, page

MISSED = Missed("d<1>", 3, 9, "PERSON", 0.5, "<script>x</script>", "a&b ", " c")


def made(*missed: Missed) -> str:
    nothing = Rate(0, 0)
    report = Report(
        Rate(9, 10),
        Rate(5, 5),
        Rate(1, 4),
        Rate(0, 4),
        nothing,
        {"PERSON": Rate(3, 4)},
        4,
        1,
        missed,
    )
    return page(
        report, title="our <set>", policy="hipaa", to="openai", digest="0" * 64, build="1" * 64
    )


def test_the_page_loads_nothing_from_anywhere() -> None:
    """It is mailed to an officer and opened on a machine without a network."""
    html = made(MISSED)
    assert "default-src 'none'" in html
    assert re.search(r"(?:src|href|url|@import)\s*[=(]", html) is None
    assert "prefers-color-scheme:dark" in html


def test_what_is_quoted_is_escaped() -> None:
    """Labelled text is other people's text."""
    html = made(MISSED)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "our &lt;set&gt;" in html
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    Reader().feed(html)
    assert tags.count("mark") == 1


def test_only_a_page_with_missed_spans_is_confidential() -> None:
    """The other one may be shown to anybody."""
    assert "onfidential" in made(MISSED)
    assert "onfidential" not in made()
    assert "none in this set" in made()
    assert "1 could not be read" in made()


def test_a_colour_is_what_the_whole_interval_says() -> None:
    """ "0.0 %" of four documents, in green, was read as a result; up to 49 % may leak."""
    few, many = Rate(0, 4), Rate(0, 400)
    assert '<b class="">0.0 %</b>' in _card("Leak", "", few)
    assert '<b class="good">0.0 %</b>' in _card("Leak", "", many)
    assert '<b class="poor">50.0 %</b>' in _card("Leak", "", Rate(200, 400))
    assert 'class="unsure"' in _row("PERSON", Rate(1, 1))
    assert 'class="good"' in _row("PERSON", Rate(400, 400))


def test_it_says_what_was_measured_on_the_way_to_where() -> None:
    """A policy decides by destination."""
    assert "Guard evaluation: our &lt;set&gt;" in made()
    assert "on the way to <b>openai</b>" in made()
