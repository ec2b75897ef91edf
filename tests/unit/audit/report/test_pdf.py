"""The page on paper."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import reports
from pypdf import PdfReader

from sovereign.audit.report.page import page
from sovereign.audit.report.pdf import pdf
from sovereign.errors import AuditError, MissingExtra


def test_the_pdf_has_the_pages_text_and_is_tagged(busy: Path) -> None:
    """Title, verdict, controls, page numbers; a reader for the blind can follow it."""
    document = reports.document(busy, "gdpr")
    document["controls"], document["proofs"] = document["controls"][:2], document["proofs"][:2]
    reader = PdfReader(io.BytesIO(pdf(page(document))))
    assert "Verified: the log is what was signed." in reader.pages[0].extract_text()
    assert f"Page 2 of {len(reader.pages)}" in reader.pages[1].extract_text()
    assert any("Data minimisation" in p.extract_text() for p in reader.pages)
    assert "/StructTreeRoot" in reader.trailer["/Root"]
    assert reader.metadata is not None
    assert reader.metadata.title == "GDPR: evidence from the audit log"


def test_the_same_page_is_the_same_pdf() -> None:
    """So the archive is, too."""
    html = (
        "<!doctype html><html lang=en><title>t</title><h1>Evidence</h1><svg width=9 height=9></svg>"
    )
    assert pdf(html) == pdf(html)
    assert pdf(html) != pdf(html.replace("Evidence", "evidence"))


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="http://127.0.0.1:9/x.png">',
        '<img src="file:///etc/hostname">',
        '<link rel="stylesheet" href="https://example.org/x.css">',
        "<style>@import url(file:///etc/hostname);</style>",
    ],
)
def test_nothing_is_fetched_for_a_pdf(markup: str) -> None:
    """No address and no file: a report needs none, so whatever asks is refused."""
    with pytest.raises(AuditError, match="fetches nothing"):
        pdf(f"<!doctype html><title>x</title>{markup}<p>text")


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the report needs nothing."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingExtra) as caught:
        pdf("<p>x")
    assert "sovereign-toolkit[report]" in caught.value.hint
