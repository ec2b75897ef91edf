"""The demonstration's table: each prompt's way through the door, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

__all__ = ["Row", "short", "table"]


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt's way through the door."""

    kind: str
    prompt: str
    verdict: str
    went: str
    received: str
    answer: str


def table(rows: list[Row]) -> Table:
    shown = Table(show_lines=True, expand=True)
    for heading, ratio in (
        ("prompt", 4),
        ("verdict", 2),
        ("went to", 1),
        ("what the hosted side really received", 4),
        ("what the caller got back", 4),
    ):
        shown.add_column(heading, ratio=ratio, overflow="fold")
    colours = {"allow": "green", "block": "red", "local": "yellow"}
    for row in rows:
        shown.add_row(
            f"[dim]{escape(row.kind)}[/dim]\n{escape(row.prompt)}",
            f"[{colours.get(row.verdict, 'cyan')}]{row.verdict}[/]",
            row.went,
            escape(row.received) if row.received != "nothing" else "[dim]nothing[/dim]",
            escape(short(row.answer, 200)),
        )
    return shown


def short(text: str, most: int) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"
