"""What a load test found, as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sovereign.serve.load import Level

__all__ = ["HEAD", "page", "rows"]

HEAD = (
    "callers",
    "requests",
    "failed",
    "tokens/s",
    "first p50",
    "p95",
    "p99",
    "gap p50",
    "p95",
    "p99",
    "whole p50",
    "p95",
    "p99",
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 240, 60, 70, 30, 40
INK, SOFT, LINE = "#1b1f24", "#5b6673", "#dfe3e8"
COLOURS = ("#0b6e4f", "#b3541e", "#4f5fb8")
STYLE = """
body{font:15px/1.5 'Liberation Sans',Arial,Helvetica,sans-serif;color:#1b1f24;
  margin:2rem auto;max-width:70rem;padding:0 1rem}
h1{font-size:1.5rem} table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .8rem .25rem 0;text-align:right;border-bottom:1px solid #dfe3e8}
th{color:#5b6673;font-weight:normal} p{color:#5b6673} svg{max-width:100%;height:auto}
"""


def _ms(seconds: float) -> str:
    """Seconds as milliseconds for people; a dash where nothing was measured."""
    return "-" if math.isnan(seconds) else f"{seconds * 1000:,.0f} ms"


def rows(levels: Sequence[Level]) -> list[tuple[str, ...]]:
    """A row for each level, under :data:`HEAD`."""
    shares = (0.5, 0.95, 0.99)
    return [
        (
            str(found.callers),
            str(len(found.answers)),
            str(len(found.answers) - len(found.whole)),
            f"{found.rate:,.1f}",
            *(_ms(found.first(share)) for share in shares),
            *(_ms(found.gap(share)) for share in shares),
            *(_ms(found.took(share)) for share in shares),
        )
        for found in levels
    ]


def page(title: str, said: str, levels: Sequence[Level]) -> str:
    """HTML in UTF-8. ``said`` tells what was asked, in words without any of its text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEAD)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows(levels)
    )
    at = [found.callers for found in levels]
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    plots = [
        _plot("tokens/s, all callers together", at, [("", [found.rate for found in levels])]),
        _plot(
            "seconds to the first text",
            at,
            [(name, [found.first(share) for found in levels]) for share, name in shares],
        ),
        _plot(
            "milliseconds between two pieces",
            at,
            [(name, [1000 * found.gap(share) for found in levels]) for share, name in shares],
        ),
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><body>\n<h1>{escape(title)}</h1><p>{escape(said)}</p>\n"
        f"<table><tr>{head}</tr>{body}</table>\n" + "\n".join(plots) + "\n</body></html>\n"
    )


def _plot(title: str, at: Sequence[int], series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Values over callers: the levels stand side by side, whatever is between them."""
    known = [v for _, values in series for v in values if not math.isnan(v)]
    top = max([*known, 1e-9]) * 1.1

    def x(place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / len(at)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        'role="img" font-family="Liberation Sans, Arial, Helvetica, sans-serif" font-size="12">'
        f"<title>{escape(title)}</title>",
        _text(LEFT, 16, title, "start", INK),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "callers at once", "middle", SOFT),
    ]
    for step in range(5):
        value = top * step / 4
        parts.append(
            f'<line x1="{LEFT}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}" '
            f'stroke="{LINE}"/>'
        )
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:,.3g}", "end", SOFT))
    for place, callers in enumerate(at):
        parts.append(_text(x(place), HEIGHT - BOTTOM + 18, str(callers), "middle", SOFT))
    level = HEIGHT + 15.0
    for (name, values), colour in zip(series, COLOURS, strict=False):
        points = [(x(i), y(v)) for i, v in enumerate(values) if not math.isnan(v)]
        if not points:
            continue
        drawn = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        level = min(points[-1][1], level - 14)  # names that end together stand above each other
        parts.append(_text(WIDTH - RIGHT + 8, level + 4, name, "start", colour))
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
