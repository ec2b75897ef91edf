"""Quotas, rates and budgets at the door: what a request may use, and what it did use.

What a key and its team may use stands in the key file and in ``[limits]``; what they used, in
:mod:`.usage`. Tokens are counted as the destination reports them. Until it does, and if it does
not, four bytes are one token; and the output that a request allows counts as used until then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sovereign import toml
from sovereign.config import Config
from sovereign.errors import ConfigError, NotPermitted
from sovereign.gateway.keys import Key
from sovereign.gateway.usage import Scope, UsageFile, Used
from sovereign.running import Allowance, LimitsConfig, Price, Prices
from sovereign.types import JSON, Side

__all__ = ["Admission", "Limits", "Tokens"]

BYTES_PER_TOKEN = 4
_MAX_OUTPUT = re.compile(rb'"max_(?:completion_|output_)?tokens":(\d{1,7})(?!\d)')
_NONE = Allowance()
_IN = ("prompt_tokens", "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OUT = ("completion_tokens", "output_tokens")


@dataclass(slots=True)
class Tokens:
    """What a destination says that a request used. Streams say it in parts, and again."""

    input: int = 0
    output: int = 0

    def note(self, data: JSON) -> None:
        """Take in a reply, or one event of it."""
        if not isinstance(data, dict):
            return
        usage = data.get("usage")
        if usage is None:
            inner = data.get("response") or data.get("message")
            usage = inner.get("usage") if isinstance(inner, dict) else None
        if isinstance(usage, dict):
            self.input = max(self.input, _sum(usage, _IN))
            self.output = max(self.output, _sum(usage, _OUT))


def _sum(usage: dict[str, JSON], names: tuple[str, ...]) -> int:
    counts = [usage.get(name) for name in names]
    return sum(n for n in counts if type(n) is int and 0 <= n < 2**40)


class Admission:
    """One request that is under way, to be ended whatever becomes of it."""

    def __init__(
        self, file: UsageFile, request: str, scopes: tuple[Scope, ...], prices: Prices | None
    ) -> None:
        self._file, self._request, self._scopes, self._prices = file, request, scopes, prices
        self._second: int | None = None
        self._reserved = Used()
        self._guess = Tokens()
        self._price: Price | None = None

    def reserve(self, raw: bytes, model: str, side: Side) -> None:
        """Before ``raw`` is sent to ``model``. Raises :class:`RateLimited`, or
        :class:`NotPermitted` if there is a budget in money, and the model has no price."""
        self._price = _price(self._prices, model)
        money = any(s.allowed.money_per_month is not None for s in self._scopes)
        if money and side == "hosted" and self._price is None:
            raise NotPermitted(
                "this key has a budget in money, and the model that was asked for has no price",
                hint="add it to the file that limits.prices in sovereign.toml names",
            )
        asked = [int(m) for m in _MAX_OUTPUT.findall(raw)]
        self._guess = Tokens(len(raw) // BYTES_PER_TOKEN + 1, max(asked, default=0))
        self._reserved = self._used(self._guess)
        self._second = self._file.reserve(self._scopes, self._reserved)

    def end(self, said: Tokens, *, sent: bool, bytes_in: int) -> None:
        """``said`` is what the destination reported; ``sent``, whether it answered at all."""
        if not sent:
            used = Used()
        elif said.input or said.output:
            used = self._used(said)
        else:
            used = self._used(Tokens(self._guess.input, bytes_in // BYTES_PER_TOKEN))
        self._file.end(self._request, self._scopes, self._second, self._reserved, used)

    def _used(self, tokens: Tokens) -> Used:
        price = self._price
        # A price per million tokens is thousandths of a nano-unit per token.
        nano = (
            0.0
            if price is None
            else 1000 * (tokens.input * price.input + tokens.output * price.output)
        )
        return Used(tokens.input + tokens.output, round(nano))


class Limits:
    """``[limits]``, and the file of what was used. Belongs to the event loop's thread.

    A key or team without limits costs nothing here, and what it uses is not counted.
    """

    def __init__(self, config: LimitsConfig, file: Path, prices: Prices | None = None) -> None:
        self._config = config
        self._path = file
        self._file: UsageFile | None = None
        self.prices = prices

    @classmethod
    def from_config(cls, config: Config) -> Limits:
        """Raises :class:`ConfigError` if the price file is missing or wrong."""
        limits = config.limits
        prices = read_prices(config)
        budgets = [limits.each_key, limits.each_team, *limits.team.values()]
        if prices is None and any(a.money_per_month is not None for a in budgets):
            raise ConfigError(
                "limits: money_per_month needs a price file", hint='prices = "prices.toml"'
            )
        return cls(limits, config.resolve(limits.file), prices)

    def admit(self, request: str, key: Key) -> Admission | None:
        """Count a request of ``key``'s, or raise :class:`RateLimited`; None if nothing limits
        it."""
        scopes = self._scopes(key)
        if not scopes:
            return None
        if self._file is None:
            self._file = UsageFile(self._path)
        self._file.begin(request, scopes)
        return Admission(self._file, request, scopes, self.prices)

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _scopes(self, key: Key) -> tuple[Scope, ...]:
        own = key.limits or self._config.each_key
        team = self._config.team.get(key.team, self._config.each_team)
        found = []
        if own != _NONE:
            found.append(Scope(f"key {key.id}", own))
        if team != _NONE:
            found.append(Scope(f"team {key.team}", team))
        return tuple(found)


def read_prices(config: Config) -> Prices | None:
    """The file that ``limits.prices`` names. Raises :class:`ConfigError`."""
    if config.limits.prices is None:
        return None
    return toml.read(config.resolve(config.limits.prices), Prices)


def _price(prices: Prices | None, model: str) -> Price | None:
    """By its name, else by the first pattern that takes it."""
    if prices is None:
        return None
    if model in prices.model:
        return prices.model[model]
    return next((p for n, p in prices.model.items() if fnmatchcase(model, n)), None)
