"""Pictures that say their numbers."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.audit.report.charts import Series, bar, columns, legend, ticks

SERIES = (Series("a", "sent", "#111111"), Series("b", "refused <now>", "#222222"))
NS = "{http://www.w3.org/2000/svg}"


def rects(svg: str, colour: str) -> list[ET.Element]:
    return [r for r in ET.fromstring(svg).iter(f"{NS}rect") if r.get("fill") == colour]


def test_columns_stack_in_proportion_and_say_their_numbers() -> None:
    """Twice the count, twice the height; the description has every number."""
    svg = columns([("mon", {"a": 2}), ("tue", {"a": 4, "b": 1})], SERIES, title="Requests")
    first, second = (float(r.get("height", "0")) for r in rects(svg, "#111111"))
    assert second == pytest.approx(2 * first, abs=0.05)
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert root.findtext(f"{NS}title") == "Requests"
    assert root.findtext(f"{NS}desc") == "mon: 2 sent; tue: 4 sent, 1 refused <now>"


def test_nothing_to_draw_is_no_picture() -> None:
    """The page says it in words."""
    assert columns([], SERIES, title="x") == ""
    assert columns([("mon", {})], SERIES, title="x") == ""


def test_a_bar_fills_its_share_and_no_more() -> None:
    """Also of zero."""
    svg = bar({"a": 1, "b": 2}, SERIES, of=6, title="x", wide=300)
    assert float(rects(svg, "#222222")[0].get("width", "")) == pytest.approx(100)
    assert not rects(bar({"a": 0}, SERIES, of=0, title="x"), "#111111")


def test_names_cannot_leave_the_picture() -> None:
    """Whoever names a team, names it in a page."""
    svg = bar({"a": 1}, SERIES, of=1, title="</title><script>")
    assert ET.fromstring(svg).findtext(f"{NS}title") == "</title><script>"
    assert "<now>" not in legend(SERIES, {"a": 1})


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 10**12))
def test_ticks_are_round_few_and_reach_the_top(most: int) -> None:
    """From zero, evenly."""
    made = ticks(most)
    assert made[0] == 0
    assert made[-1] >= most
    assert made[-2] < most
    assert 2 <= len(made) <= 6
    assert len({b - a for a, b in itertools.pairwise(made)}) == 1
