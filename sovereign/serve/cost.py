"""What tokens cost: at a hosted API by the token, on GPUs of one's own by the hour or the purchase.

Prices are in a file that the team edits. They change; whoever decides by them puts in their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.serve.plan import Fleet
from sovereign.toml import StrictModel

__all__ = ["Own", "Prices", "break_even", "hosted", "own", "read_prices"]

HOURS = 730.0
"""Hours of a month."""


class Hosted(StrictModel):
    """A hosted model's price."""

    input: float = Field(ge=0, description="for a million tokens that are sent")
    output: float = Field(ge=0, description="for a million tokens that come back")


class Card(StrictModel):
    """A GPU, rented or bought with its part of a server."""

    hour: float | None = Field(None, gt=0, description="rent of one for an hour")
    buy: float | None = Field(None, gt=0, description="one bought, with its part of the server")

    @model_validator(mode="after")
    def _one(self) -> Card:
        if (self.hour is None) == (self.buy is None):
            raise ValueError("say what an hour costs, or what buying costs")
        return self


class Site(StrictModel):
    """What a GPU of one's own costs beside its price."""

    years: float = Field(3.0, gt=0, description="a purchase is written off over")
    kwh: float = Field(ge=0, description="price of a kilowatt-hour")
    pue: float = Field(1.4, ge=1, description="power of the whole room over that of the machines")
    monthly: float = Field(0.0, ge=0, description="space, people and support, a month, for it all")
    busy: float = Field(
        0.3, gt=0, le=1, description="share of its best speed that is asked of it over a month"
    )


class Prices(StrictModel):
    """The file ``--prices``; the shipped one is recipes/prices/list.toml."""

    as_of: str = Field(description="when somebody last looked")
    currency: str = Field("USD", description="shown, never converted")
    output_share: float = Field(0.2, ge=0, le=1, description="of all tokens, those that come back")
    hosted: dict[str, Hosted] = Field(description="by name of the model")
    gpu: dict[str, Card] = Field(description="by name, as `serve plan` knows it")
    site: Site


@dataclass(frozen=True, slots=True)
class Own:
    """A fleet's cost: ``monthly`` for one such fleet, which reads and writes ``capacity`` tokens a
    month at the site's ``busy`` share."""

    monthly: float
    fixed: float
    capacity: float

    def at(self, tokens: float) -> float:
        """Cost of a month with ``tokens``: as many fleets as that takes, one at least."""
        return self.fixed + self.monthly * max(1, math.ceil(tokens / self.capacity))


def read_prices(path: Path | None) -> Prices:
    """The team's file, or the one that ships. Raises :class:`ConfigError`."""
    return toml.read(path or recipes.find("prices", "list"), Prices)


def hosted(prices: Prices, model: str, tokens: float) -> float:
    """Cost of ``tokens`` a month at a hosted API."""
    price = prices.hosted[model]
    share = prices.output_share
    return tokens / 1e6 * (price.input * (1 - share) + price.output * share)


def own(prices: Prices, fleet: Fleet) -> Own:
    """Cost of ``fleet``. Raises :class:`ConfigError` if the file has no price for its GPU."""
    card = prices.gpu.get(fleet.gpu.name)
    if card is None:
        raise ConfigError(
            f"no price for a {fleet.gpu.name}", hint="add it to [gpu] of the file of prices"
        )
    site = prices.site
    if card.hour is not None:
        each = card.hour * HOURS
    else:
        assert card.buy is not None
        power = fleet.gpu.watts / 1000 * site.pue * HOURS * site.kwh
        each = card.buy / (site.years * 12) + power
    # A token that is read and one that is written take their turns on the same GPU.
    share = prices.output_share
    rate = 1 / ((1 - share) / fleet.reads + share / fleet.writes)
    return Own(each * fleet.gpus, site.monthly, rate * site.busy * HOURS * 3600)


def break_even(prices: Prices, model: str, mine: Own) -> float | None:
    """Tokens a month from which on ``mine`` is cheaper than the hosted ``model``, for good: where
    another fleet is needed the lines may cross again, and the last crossing counts. None if a
    token at the API costs no more than one of a full fleet."""
    price = hosted(prices, model, 1.0)
    full = price * mine.capacity
    if full <= mine.monthly:
        return None
    # With k fleets, so up to k capacities, the API is cheaper below (fixed + k monthly) / price.
    # That is beyond what k - 1 fleets reach for every k up to the last of these:
    last = max(1, math.ceil((mine.fixed + full) / (full - mine.monthly)) - 1)
    return (mine.fixed + last * mine.monthly) / price
