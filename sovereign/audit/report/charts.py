"""Charts as inline SVG: stacked columns over time, and stacked bars. They know nothing of a log.

Colours, sizes and fonts are attributes, not styles, so that a browser, a printer and a PDF writer
that looks at an SVG alone draw the same. Each has a title and a description that says the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Series", "bar", "columns", "legend", "ticks"]

FONT = "Liberation Sans, Arial, Helvetica, DejaVu Sans, sans-serif"
INK, SOFT, LINE = "#1b1f24", "#5b6673", "#dfe3e8"
WIDTH, HEIGHT = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 4, 10, 28
MOST_LABELS = 9


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of thing that is counted: its key, its name in a legend, its colour."""

    key: str
    name: str
    colour: str


def columns(
    buckets: Sequence[tuple[str, Mapping[str, int]]], series: Sequence[Series], *, title: str
) -> str:
    """A column per bucket (label, counts by series), stacked. Empty without a count."""
    most = max((sum(counts.values()) for _, counts in buckets), default=0)
    if not most:
        return ""
    steps = ticks(most)
    top = steps[-1]
    inner, floor = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM
    scale = (floor - TOP) / top
    parts = [_open(WIDTH, HEIGHT, title, _say(buckets, series))]
    for step in steps:
        y = floor - step * scale
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}"/>'
            + _text(LEFT - 8, y + 3.5, f"{step:,}", anchor="end")
        )
    slot = inner / len(buckets)
    wide = max(min(slot * 0.78, 44), 0.8)
    every = -(-len(buckets) // MOST_LABELS)
    for i, (label, counts) in enumerate(buckets):
        x, y = LEFT + slot * (i + 0.5), float(floor)
        for one in series:
            high = counts.get(one.key, 0) * scale
            if high:
                y -= high
                parts.append(
                    f'<rect x="{x - wide / 2:.1f}" y="{y:.2f}" width="{wide:.1f}"'
                    f' height="{high:.2f}" fill="{one.colour}"/>'
                )
        if i % every == 0:
            parts.append(_text(x, floor + 17, label, anchor="middle"))
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}" stroke="{SOFT}"/></svg>'
    )
    return "".join(parts)


def bar(
    counts: Mapping[str, int],
    series: Sequence[Series],
    *,
    of: int,
    title: str,
    height: int = 12,
    wide: int = 300,
) -> str:
    """One stacked bar whose whole width is ``of``."""
    head = _open(wide, height, title, _say([("", counts)], series))
    parts = [head.replace(" role=", ' preserveAspectRatio="none" role=', 1)]
    parts.append(f'<rect width="{wide}" height="{height}" fill="#eef1f4"/>')
    x = 0.0
    for one in series:
        width = wide * counts.get(one.key, 0) / of if of else 0
        if width:
            parts.append(
                f'<rect x="{x:.2f}" width="{max(width, 0.75):.2f}" height="{height}"'
                f' fill="{one.colour}"/>'
            )
            x += width
    return "".join([*parts, "</svg>"])


def legend(series: Sequence[Series], totals: Mapping[str, int] | None = None) -> str:
    """The series' names, with their totals if given, as an HTML list."""
    items = []
    for one in series:
        swatch = (
            f'<svg width="11" height="11" viewBox="0 0 11 11" aria-hidden="true">'
            f'<rect width="11" height="11" fill="{one.colour}"/></svg>'
        )
        number = f" <b>{totals.get(one.key, 0):,}</b>" if totals is not None else ""
        items.append(f"<li>{swatch} {escape(one.name)}{number}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def ticks(most: int) -> list[int]:
    """Round numbers from 0 to at least ``most``, four or five of them where there is room."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if most <= 4 * step * factor:
                size = step * factor
                return list(range(0, size * -(-most // size) + 1, size))
        step *= 10


def _open(width: int, height: int, title: str, description: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" font-family="{FONT}" font-size="11">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    )


def _text(x: float, y: float, text: str, *, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{SOFT}">{escape(text)}</text>'
    )


def _say(buckets: Sequence[tuple[str, Mapping[str, int]]], series: Sequence[Series]) -> str:
    """The numbers in words, for whoever does not see the picture."""
    said = []
    for label, counts in buckets:
        numbers = ", ".join(f"{counts[s.key]:,} {s.name}" for s in series if counts.get(s.key))
        if numbers:
            said.append(f"{label}: {numbers}" if label else numbers)
    return "; ".join(said) or "nothing"
