"""Cells under the head of their column."""

from __future__ import annotations

import time

import pytest

from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.guard.recognizers.labels.tables import cells

TABLES = {
    "commas": ("id,dob,city\n1,1961-11-04,Ulm\n2,1958-02-19,Bern", {"1961-11-04", "1958-02-19"}),
    "quotes": ('"name";"dob"\n"a, b";"1961-11-04"', {"1961-11-04"}),
    "pipes": ("| MRN | Unit |\n|---|---|\n| 4418290 | ICU |", {"4418290"}),
    "tabs": ("policy no\tdue\nHX-2201\tnow\nHX-2202\tnow", {"HX-2201", "HX-2202"}),
    "insert": (
        "INSERT INTO p (mrn, note) VALUES ('44-182', 'it''s, fine'), (N'44-183', NULL)",
        {"44-182", "44-183"},
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_cell_is_what_its_column_says(kind: str) -> None:
    """As if the head stood before the cell."""
    text, values = TABLES[kind]
    found = {text[f.start : f.end] for f in LabelsRecognizer().recognize(text)}
    assert values <= found


def test_a_table_ends_where_its_lines_do() -> None:
    """Prose under a table is no row of it, and a list is no table."""
    text = "mrn,unit\n4418290,ICU\n\nHe said 4418291, she said 12.\na,\nb,\n"
    found = cells(text, lambda heads: [head == "mrn" for head in heads])
    assert [text[a:b] for _, a, b in found] == ["4418290"]


@pytest.mark.parametrize(
    "unit", ["a,b\n", "mrn,x\n", "|mrn|\n", '"', "insert into p (mrn) values ("]
)
def test_reading_tables_takes_linear_time(unit: str) -> None:
    """Eight times the text may take about eight times as long."""

    def spent(size: int) -> float:
        text = (unit * size)[:size]
        start = time.process_time()
        LabelsRecognizer().recognize(text)
        return time.process_time() - start

    spent(1000)
    assert spent(32_000) < 40 * max(spent(4_000), 0.005)
