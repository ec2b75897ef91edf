"""Break-even points are where the lines of the plot cross for the last time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.errors import ConfigError
from sovereign.serve import hardware
from sovereign.serve.cost import Own, Prices, break_even, hosted, own, read_prices
from sovereign.serve.plan import Assumptions, Load, fleets
from sovereign.serve.plan_page import page
from sovereign.weights.dims import model_card

PRICES = read_prices(None)
FLEET = fleets(
    model_card("llama-3.1-8b-instruct").dims,
    Load(50, 8192),
    "bf16",
    [hardware.find("H100")],
    Assumptions(),
)[0]


@given(st.floats(0.01, 100), st.floats(10, 1e5), st.floats(0, 1e5), st.floats(1e6, 1e12))
def test_the_lines_meet_at_the_break_even_and_beyond_it_own_is_cheaper(
    price: float, monthly: float, fixed: float, capacity: float
) -> None:
    """Though each further fleet is a step up, for which the lines may meet several times."""
    one = {"as_of": "x", "hosted": {"m": {"input": price, "output": price}}}
    prices = Prices.model_validate({**one, "gpu": {}, "site": {"kwh": 0.2}})
    mine = Own(monthly, fixed, capacity)
    at = break_even(prices, "m", mine)
    if at is None:
        full = mine.capacity * 1e6
        assert mine.at(full) >= hosted(prices, "m", full) * (1 - 1e-9)
        return
    # The lines meet there, with the fleets of that month or, at its very end, with one more.
    fleets_then = math.ceil(at / capacity)
    meet = [fixed + k * monthly for k in (fleets_then, fleets_then + 1)]
    assert any(cost == pytest.approx(hosted(prices, "m", at)) for cost in meet)
    for beyond in (1.00001, 1.01, 1.5, 2, 3.7, 10, 1000):
        assert mine.at(at * beyond) <= hosted(prices, "m", at * beyond) * (1 + 1e-9)


def test_a_month_costs_what_the_file_says() -> None:
    """By hand: 40,000 over three years, and 700 watts in a room of 1.4 at 0.25 a kilowatt-hour; a
    million tokens, a fifth of them coming back, at 2.50 and 10."""
    assert own(PRICES, FLEET).monthly == pytest.approx(40_000 / 36 + 0.7 * 1.4 * 730 * 0.25)
    assert hosted(PRICES, "gpt-4o", 1e6) == pytest.approx(0.8 * 2.5 + 0.2 * 10)
    rent = PRICES.model_copy(update={"gpu": {"H100": PRICES.gpu["L4"]}})
    assert own(rent, FLEET).monthly == pytest.approx(0.7 * 730)


def test_a_card_without_a_price_or_with_two_is_refused(tmp_path: Path) -> None:
    """Half a price would be a wrong plan."""
    with pytest.raises(ConfigError, match="no price for a H100"):
        own(PRICES.model_copy(update={"gpu": {}}), FLEET)
    file = tmp_path / "prices.toml"
    shipped = (Path(__file__).parents[3] / "recipes/prices/list.toml").read_text()
    file.write_text(shipped.replace("buy = 40000.0", "buy = 40000.0\nhour = 3.0"))
    with pytest.raises(ConfigError, match="H100"):
        read_prices(file)
    file.write_text(shipped.replace("busy = 0.3", "busy = 1.3"))
    with pytest.raises(ConfigError, match="busy"):
        read_prices(file)


def test_the_page_stands_alone_and_says_its_figures() -> None:
    """Nothing is fetched, names are escaped, and the plot has a line for each price."""
    named = PRICES.hosted | {"<b>x": PRICES.hosted["gpt-4o"]}
    prices = PRICES.model_copy(update={"hosted": named})
    html = page("a <model>", None, [FLEET], Assumptions(), prices, own(prices, FLEET))
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert html.count("<polyline") == 1 + len(named)
    assert "<b>" not in html
    assert "a &lt;model&gt;" in html
    assert "1 × H100" in html
    cheap = PRICES.hosted["gpt-4o"].model_copy(update={"input": 0.001, "output": 0.001})
    prices = PRICES.model_copy(update={"hosted": {"cheap": cheap}})
    html = page("a", None, [FLEET], Assumptions(), prices, own(prices, FLEET))
    assert ">0.1</text>" in html
    assert ">0</text>" not in html, "an axis of powers of ten has no nought"
