"""The page: all of the document, nothing that runs or is fetched."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import reports

from sovereign.audit.report.gather import Period
from sovereign.audit.report.page import page

VOID = {"meta", "br", "rect", "line"}


class Structure(HTMLParser):
    """Tags that open and close; raises on one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "action", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def structure(html: str) -> Structure:
    parsed = Structure()
    parsed.feed(html)
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def document(busy: Path) -> dict[str, Any]:
    return reports.document(busy)


def test_the_page_has_its_parts_in_order(document: dict[str, Any]) -> None:
    """Verdict first, then what happened, the controls, the gaps, and what proves it."""
    html = page(document)
    parsed = structure(html)
    heads = re.findall(r"<h2[^>]*>([^<]+)</h2>", html)
    assert heads == [
        "Summary",
        "Controls",
        "Gaps",
        "Completeness",
        "Appendix: records, digests, proofs",
    ]
    assert html.index("Verified: the log is what was signed") < html.index("Summary</h2>")
    assert parsed.seen.count("article") == len(document["controls"])
    assert document["note"] in "".join(parsed.text)


def test_nothing_runs_and_nothing_is_fetched(document: dict[str, Any]) -> None:
    """A regulator opens it on a machine without a network."""
    html = page(document)
    parsed = structure(html)
    assert parsed.links == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(parsed.seen)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_each_picture_has_words(document: dict[str, Any]) -> None:
    """For whoever does not see it; swatches of the legend are hidden from readers instead."""
    for svg in re.findall(r"<svg .*?</svg>", page(document), re.DOTALL):
        assert ("<desc>" in svg and 'role="img"' in svg) or 'aria-hidden="true"' in svg


def test_a_failed_verification_is_said_before_anything_else(document: dict[str, Any]) -> None:
    """In red, with what is wrong, and no green word is left."""
    failed = copy.deepcopy(document)
    failed["verification"] |= {
        "ok": False,
        "problems": [{"text": "record 7: it is <missing>"}],
        "problems_in_all": 12,
    }
    html = page(failed)
    structure(html)
    assert '<div class="verdict bad" role="alert">' in html
    assert "record 7: it is &lt;missing&gt;" in html
    assert "and 11 more" in html
    assert "Verified: the log is" not in html
    assert "This is evidence" not in html


def test_hostile_names_stay_text(document: dict[str, Any]) -> None:
    """The schema lets no such name into a log. A log that was changed may hold any."""
    hostile = copy.deepcopy(document)
    name = "</td><script>alert(1)</script>"
    for table in ("teams", "models", "destinations", "entities", "events", "refusals", "policies"):
        value: Any = {"refused": 1} if table in ("teams", "models", "destinations") else 1
        hostile["counts"][table][name] = {"mask": 1} if table == "entities" else value
    parsed = structure(page(hostile))
    assert "script" not in parsed.seen
    assert "".join(parsed.text).count(name) >= 7


def test_long_tables_end_and_long_periods_fit(document: dict[str, Any]) -> None:
    """Twenty rows, the last of which is all others; at most so many columns as one can see."""
    many = copy.deepcopy(document)
    many["counts"]["teams"] = {f"team-{i:03}": {"allowed": 500 - i} for i in range(300)}
    many["counts"]["over_time"] = {
        f"20{y}-{m:02}-01": {"allowed": 3} for y in (24, 25, 26) for m in range(1, 13)
    }
    html = page(many)
    assert "(281 others)" in html
    assert "team-019" not in html
    chart = html[html.index("Requests per 12 days") : html.index("<h3>Teams")]
    assert 10 < chart.count("<rect") <= 160
    structure(html)


def test_every_kind_that_was_found_has_a_row(document: dict[str, Any]) -> None:
    """A regulator looks for one kind. "(3 others)" hid it."""
    many = copy.deepcopy(document)
    many["counts"]["entities"] = {f"KIND_{i}": {"mask": 1} for i in range(50)}
    assert page(many).count("KIND_") >= 50


def test_a_narrow_screen_hides_bars_with_their_heads(document: dict[str, Any]) -> None:
    """A cell that is hidden without its head moves every number under another's head."""
    html = page(document)
    assert "th.bar,td.bar{display:none}" in html
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        bars = [len(re.findall(f'<{tag} class="bar"', table)) for tag in ("th", "td")]
        assert bars[0] == bool(bars[1])


def test_what_a_reader_could_misread_is_said(document: dict[str, Any]) -> None:
    """A pattern's name, a refusal's code, a control that has records but is not said to be met."""
    worded = copy.deepcopy(document)
    worded["counts"]["models"] = {"gpt-@": {"allowed": 1}}
    worded["counts"]["refusals"] = {"rate_limited": 1}
    worded["refusals_in_words"] = {"rate_limited": "it had used what it may"}
    html = page(worded)
    assert "gpt-@ for gpt-*" in html
    assert "It had used what it may" in html
    assert ">has records</span>" in html
    assert "Whether it is met is not said" in html
    assert "gpt-@" not in page(document)


def test_an_empty_period_is_a_page_too(busy: Path) -> None:
    """It says that nothing was decided on."""
    period = Period("2020-01-01T00:00:00.000Z", "2020-02-01T00:00:00.000Z")
    html = page(reports.document(busy, period=period))
    structure(html)
    assert "No request was decided on in this period" in html
