"""The plan as one HTML page that needs nothing beside it: memory, speed, and cost over tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from html import escape

from sovereign.serve.cost import Own, Prices, break_even, hosted
from sovereign.serve.plan import Assumptions, Fleet, Memory

__all__ = ["amount", "count", "page", "wait"]

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 16, 44
INK, SOFT, LINE = "#1b1f24", "#5b6673", "#dfe3e8"
OWN = "#0b6e4f"
COLOURS = ("#b3541e", "#4f5fb8", "#8a3c7f", "#7a6a1f", "#3b7f93", "#a03040")
STYLE = """
body{font:15px/1.5 'Liberation Sans',Arial,Helvetica,sans-serif;color:#1b1f24;
  margin:2rem auto;max-width:60rem;padding:0 1rem}
h1{font-size:1.5rem} h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;margin:.5rem 0}
td,th{padding:.25rem .8rem .25rem 0;text-align:right;border-bottom:1px solid #dfe3e8}
td:first-child,th:first-child{text-align:left} th{color:#5b6673;font-weight:normal}
p,li{color:#5b6673} svg{max-width:100%;height:auto}
"""


def page(
    title: str,
    memory: Memory | None,
    found: Sequence[Fleet],
    assumed: Assumptions,
    prices: Prices | None,
    mine: Own | None,
) -> str:
    """HTML in UTF-8. ``prices`` and ``mine`` belong together: what the first of ``found`` costs."""
    parts = [f"<h1>{escape(title)}</h1>"]
    if memory is not None:
        parts += ["<h2>Memory of the embedded engine, on a CPU</h2>", _memory(memory)]
    if found:
        parts += ["<h2>GPUs, with vLLM</h2>", _fleets(found)]
        parts += ["<h2>What this rests on</h2>", _assumed(assumed)]
    if prices is not None and mine is not None:
        parts += [f"<h2>A month on {_named(found[0])}, beside hosted APIs</h2>"]
        parts += [_plot(prices, mine, found[0]), _crossings(prices, mine), _basis(prices)]
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><body>\n{body}\n</body></html>\n"
    )


def amount(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def count(number: float) -> str:
    """A large number for people: 1.2 million."""
    for scale, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= scale:
            return f"{number / scale:,.3g} {word}"
    return f"{number:,.0f}"


def wait(seconds: float) -> str:
    """A time for people: 40 ms, 1.2 s."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _named(fleet: Fleet) -> str:
    return f"{fleet.gpus} × {fleet.gpu.name}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _memory(memory: Memory) -> str:
    rows = [[name, amount(size)] for name, size in memory.parts() if size]
    return _table(["", ""], [*rows, ["together", amount(memory.total)]])


def _copies(n: int) -> str:
    return "1 copy" if n == 1 else f"{n} copies"


def _fleets(found: Sequence[Fleet]) -> str:
    head = ["GPUs", "each holds", "of", "users a copy"]
    head += ["tokens/s, all", "tokens/s, each", "first token"]
    rows = [
        [
            _named(f) + (f" ({_copies(f.replicas)} over {f.cut})" if f.gpus > 1 else ""),
            amount(f.memory.total),
            amount(f.gpu.memory),
            str(f.users_each),
            f"{f.writes:,.0f}",
            f"{f.each:,.0f}",
            wait(f.first_s),
        ]
        for f in found
    ]
    return _table(head, rows)


def _assumed(assumed: Assumptions) -> str:
    items = "".join(
        f"<li>{_share(getattr(assumed, f.name))} {f.metadata['says']}</li>" for f in fields(assumed)
    )
    return (
        "<p>Data sheets' bandwidth and dense FLOP/s, times these shares; a best case for choosing "
        f"hardware, not a measurement.</p><ul>{items}</ul>"
    )


def _share(number: float) -> str:
    return f"{number:.0%}" if number <= 1 else count(number)


def _crossings(prices: Prices, mine: Own) -> str:
    rows = []
    for model in prices.hosted:
        at = break_even(prices, model, mine)
        said = "never: a token costs less there" if at is None else f"{count(at)} tokens a month"
        rows.append([model, said])
    return _table(["cheaper than", "from"], rows)


def _basis(prices: Prices) -> str:
    site = prices.site
    return (
        f"<p>Prices as of {escape(prices.as_of)}, in {escape(prices.currency)}; put in your own. "
        f"{prices.output_share:.0%} of all tokens come back. A fleet is asked for {site.busy:.0%} "
        "of its best speed over a month; beyond that another one is added: the steps of the line. "
        f"Purchases are written off over {site.years:g} years; a kilowatt-hour costs {site.kwh:g}, "
        f"and the room takes {site.pue:g} times what the machines take.</p>"
    )


# ---- the plot ------------------------------------------------------------------------------------


def _plot(prices: Prices, mine: Own, fleet: Fleet) -> str:
    """Cost of a month over tokens of a month, both on logarithmic axes."""
    found = [at for m in prices.hosted if (at := break_even(prices, m, mine)) is not None]
    low = math.floor(math.log10(min([mine.capacity / 100, *found]) / 3))
    high = math.ceil(math.log10(max([mine.capacity, *found]) * 3))
    lines: list[tuple[str, str, Callable[[float], float]]] = [
        (f"own: {_named(fleet)}", OWN, mine.at)
    ]
    for i, model in enumerate(prices.hosted):
        colour = COLOURS[i % len(COLOURS)]
        lines.append((model, colour, lambda t, model=model: hosted(prices, model, t)))  # type: ignore[misc]
    costs = [cost(10.0**e) for _, _, cost in lines for e in (low, high)]
    bottom, top = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))

    def x(tokens: float) -> float:
        return LEFT + (math.log10(tokens) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(cost: float) -> float:
        return (
            HEIGHT - BOTTOM - (math.log10(cost) - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        'role="img" font-family="Liberation Sans, Arial, Helvetica, sans-serif" font-size="12">'
        "<title>Cost of a month over its tokens</title>"
    ]
    for e in range(low, high + 1):
        parts.append(_rule(x(10.0**e), TOP, x(10.0**e), HEIGHT - BOTTOM))
        parts.append(_text(x(10.0**e), HEIGHT - BOTTOM + 18, count(10.0**e), "middle", SOFT))
    for e in range(bottom, top + 1):
        parts.append(_rule(LEFT, y(10.0**e), WIDTH - RIGHT, y(10.0**e)))
        parts.append(_text(LEFT - 8, y(10.0**e) + 4, f"{10.0**e:,.10g}", "end", SOFT))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 6, "tokens a month", "middle", INK))
    parts.append(_text(LEFT + 6, TOP + 12, prices.currency, "start", INK))
    ends: list[tuple[float, str, str]] = []
    for name, colour, cost in lines:
        steps = [10 ** (low + (high - low) * i / 600) for i in range(601)]
        points = " ".join(f"{x(t):.1f},{y(cost(t)):.1f}" for t in steps)
        wide = 3 if colour == OWN else 1.5
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{wide}"/>'
        )
        ends.append((y(cost(steps[-1])), name, colour))
    at = -99.0
    for level, name, colour in sorted(ends):
        at = max(level, at + 15)  # names of lines that end together stand below each other
        parts.append(_text(WIDTH - RIGHT + 8, at + 4, name, "start", colour))
    for tokens in found:
        parts.append(
            f'<circle cx="{x(tokens):.1f}" cy="{y(mine.at(tokens)):.1f}" r="4" fill="{OWN}"/>'
        )
    return "".join([*parts, "</svg>"])


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{LINE}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
