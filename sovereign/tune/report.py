"""One run as one HTML page that needs nothing beside it: curves, scores, what went in and what was
measured. Made of the record and the metrics, so that it holds numbers and names, and no row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from sovereign.tune import stats
from sovereign.tune.card import besides, facts
from sovereign.tune.record import RunRecord

__all__ = ["FILE", "curve_of", "page"]

FILE = "report.html"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 280, 56, 36, 12, 12
TRAIN, HELD = "#4f5fb8", "#b3541e"
TICKS = 4
STYLE = """
body{font:15px/1.5 'Liberation Sans',Arial,Helvetica,sans-serif;color:#1b1f24;
  margin:2rem auto;max-width:52rem;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:0} h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;margin:.5rem 0}
td,th{padding:.25rem 1.2rem .25rem 0;border-bottom:1px solid #dfe3e8;text-align:left;
  vertical-align:top}
th{color:#5b6673;font-weight:normal} p{color:#5b6673} code{font-size:.85em}
svg{max-width:100%;height:auto}
"""


def curve_of(metrics: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]


def page(made: RunRecord, curve: Sequence[dict[str, Any]]) -> str:
    """HTML in UTF-8."""
    data = made.data
    base, training = data["base"], data["training"]
    parts = [
        f"<h1>{escape(data['recipe'])}</h1>",
        f"<p>{escape(facts(made)['kind'])} {escape(base['name'])}, trained from {data['begun']} to "
        f"{data['ended']}.</p>",
        "<h2>Loss</h2>",
        _plot(curve),
        f"<p>In nats for each learnt token: <b style='color:{TRAIN}'>rows that are trained on</b>"
        + (f", and <b style='color:{HELD}'>held-out rows</b>" if _looked(curve) else "")
        + f". {training['tokens']} tokens in {training['seconds']:.0f} s.</p>",
    ]
    if data["evaluation"] is not None:
        parts += ["<h2>Held-out rows, answered exactly</h2>", _scores(data["evaluation"])]
    parts += ["<h2>What went in, and what was measured</h2>", _table(facts(made)["card"])]
    if data["general"] is not None:
        parts += ["<h2>What it can do besides</h2>", *_general(data["general"])]
    if data["memorization"] is not None and data["memorization"]["exposure"]:
        parts += ["<h2>Exposure of invented secrets</h2>", _exposure(data["memorization"])]
    parts += ["<h2>Settings</h2>", _table(_settings(data["hyperparameters"]))]
    parts += ["<h2>Digests</h2>", _table(_digests(made))]
    body = "\n".join(parts)
    title = escape(data["recipe"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style><body>\n{body}\n</body></html>\n"
    )


def _looked(curve: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(row["step"], row["eval_loss"]) for row in curve if "eval_loss" in row]


def _plot(curve: Sequence[dict[str, Any]]) -> str:
    train = [(row["step"], row["loss"]) for row in curve]
    held = _looked(curve)
    last: int = max(step for step, _ in train)
    top: float = max(value for _, value in [*train, *held]) * 1.05 or 1.0

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - 1) / max(1, last - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss by step">']
    for k in range(TICKS + 1):
        value = top * k / TICKS
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#dfe3e8"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" font-size="12" '
            f'fill="#5b6673" text-anchor="end">{value:.2f}</text>'
        )
    for step in sorted({1, *(round(1 + (last - 1) * k / TICKS) for k in range(1, TICKS + 1))}):
        parts.append(
            f'<text x="{x(step):.1f}" y="{HEIGHT - 14}" font-size="12" fill="#5b6673" '
            f'text-anchor="middle">{step}</text>'
        )
    for points, colour in ((train, TRAIN), (held, HELD)):
        line = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3.5" fill="{HELD}"/>' for s, v in held]
    return "".join([*parts, "</svg>"])


def _scores(evaluation: dict[str, Any]) -> str:
    rows = ["<tr><th></th><th>exact</th><th>of</th><th>share, 95 % interval</th></tr>"]
    for when in ("before", "after"):
        score = evaluation[when]
        if score is not None:
            share = score["exact"] / score["rows"]
            low, high = stats.binomial_interval(score["exact"], score["rows"])
            rows.append(
                f"<tr><td>{when} training</td><td>{score['exact']}</td><td>{score['rows']}</td>"
                f"<td>{share:.0%} ({low:.0%} to {high:.0%})</td></tr>"
            )
    return f"<table>{''.join(rows)}</table>"


def _general(general: dict[str, Any]) -> list[str]:
    rows = ["<tr><th></th><th>before</th><th>after</th><th>95 % interval</th></tr>"]
    for row in besides(general):
        rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    said = "Rows and tasks that were not trained on; a loss that rose is something forgotten."
    return [f"<table>{''.join(rows)}</table>", f"<p>{said}</p>"]


def _exposure(kept: dict[str, Any]) -> str:
    rows = ["<tr><th>copies</th><th>secrets</th><th>bits, 95 % interval</th></tr>"]
    rows += [
        f"<tr><td>{e['copies']}</td><td>{e['canaries']}</td>"
        f"<td>{e['mean']:.1f} ({e['low']:.1f} to {e['high']:.1f})</td></tr>"
        for e in kept["exposure"]
    ]
    told = "" if kept["p"] is None else f"<p>Most copies against none: p = {kept['p']:.2g}.</p>"
    return f"<table>{''.join(rows)}</table><p>Chance is 1.4 bits.</p>{told}"


def _settings(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{table}.{key}": value
        for table in ("lora", "train", "eval")
        for key, value in hyperparameters[table].items()
        if value is not None
    }


def _digests(made: RunRecord) -> dict[str, str]:
    data = made.data
    return {
        "base": data["base"]["digest"],
        "rows": data["data"]["train"]["sha256"],
        "roll of rows": data["roll"]["root"],
        "model" if made.is_model else "adapter": made.digest,
    }


def _table(rows: dict[str, Any]) -> str:
    lines = [
        f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in rows.items()
    ]
    return f"<table>{''.join(lines)}</table>"
