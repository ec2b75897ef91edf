"""A scan as one HTML page: what, where, since when, by whom, sent where, and what was not read.

No script, nothing fetched, and no text of what was scanned; callers are tokens.
"""

# ruff: noqa: E501 - a page is written as a page

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from sovereign.audit.report.charts import Series, bar, columns, legend
from sovereign.audit.report.page import STYLE
from sovereign.entities import describe
from sovereign.types import JSON

__all__ = ["page"]

WAYS = (
    Series("sent", "sent to a hosted API", "#c8553d"),
    Series("received", "came back from one", "#e2a78f"),
    Series("stored", "stored inside", "#4f93c8"),
)
MOST = 25
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(told: Mapping[str, JSON], made: str) -> str:
    """The whole page, of what :func:`sovereign.scan.summary.summarise` tells; ``made`` is when."""
    body = "".join(
        (
            _head(told, made),
            _entities(told),
            _since(told),
            _sent(told),
            _who(told),
            _where(told),
            _unread(told),
        )
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Personal data found by a scan</title><style>{STYLE}</style></head><body><main>
{body}</main></body></html>
"""


def _head(told: Mapping[str, JSON], made: str) -> str:
    totals = told["totals"]
    sent = sum(e["sent"] for e in told["entities"].values())
    held = sum(e["sent"] for e in told["entities"].values() if e["verb"] != "allow")
    told_of = f"In the {totals['calls']:,} records of calls to model APIs that the scan read."
    verdict = (
        f'<div class="verdict bad"><b>{sent:,} findings were sent to hosted APIs, {held:,} of kinds that the policy does not let out as they are</b>{told_of} Whether they should have been is for the policy of that time to say.</div>'
        if sent
        else f'<div class="verdict"><b>No finding was sent to a hosted API</b>{told_of}</div>'
        if totals["calls"]
        else '<div class="verdict open"><b>Whether any of it left is not told here</b>None of these files records calls to model APIs, as the logs of a proxy or of an application do.</div>'
    )
    sample = ""
    if totals["looked"] < totals["characters"]:
        share = totals["looked"] / max(1, totals["characters"])
        sample = f"<p>A sample: recognisers read {share:.1%} of the text. Ranges hold the whole 19 times of 20, if findings do not cluster.</p>"
    figures = "".join(
        f"<div><b>{number}</b><span>{words}</span></div>"
        for number, words in (
            (f"{totals['findings']:,}", "findings"),
            (f"{totals['files']:,}", f"files, {totals['bytes'] / 1e6:,.1f} MB"),
            (f"{totals['records']:,}", "records"),
            (f"{totals['unread']:,}", "things that were not read"),
        )
    )
    return (
        f'<p class="kicker">sovereign scan</p><h1>Personal data in what lies there</h1>'
        f'<p class="soft">{escape(made)}. Values are not on this page: each is a keyed token in findings.jsonl.</p>{verdict}'
        f'<div class="figures">{figures}</div>{sample}'
    )


def _entities(told: Mapping[str, JSON]) -> str:
    entities = told["entities"]
    if not entities:
        return "<h2>What</h2><p>Nothing was found.</p>"
    most = max(e["findings"] for e in entities.values())
    rows = []
    for name, one in entities.items():
        counts = {w.key: one[w.key] for w in WAYS}
        number = f"{one['findings']:,}"
        if "estimate" in one:
            number += f"<small>{one['estimate']['low']:,}–{one['estimate']['high']:,}</small>"
        rows.append(
            f'<tr><td class="name">{_worded(name)}<small class="soft">policy for a hosted API: {escape(one["verb"])}</small></td>'
            f'<td class="bar">{bar(counts, WAYS, of=most, title=name)}</td><td class="n">{number}</td>'
            f'<td class="n">{one.get("values", 0):,}</td><td class="n">{one["sent"]:,}</td></tr>'
        )
    totals = {w.key: sum(e[w.key] for e in entities.values()) for w in WAYS}
    return (
        '<h2>What</h2><table><thead><tr><th>entity</th><th class="bar"></th>'
        '<th class="n">findings</th><th class="n">different values</th><th class="n">sent</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{legend(WAYS, totals)}"
    )


def _worded(name: str) -> str:
    """An entity as policies write it, and in words."""
    words = describe(name)
    return escape(name) + (f"<small>{escape(words)}</small>" if words != name else "")


def _since(told: Mapping[str, JSON]) -> str:
    months = told["months"]
    if not months:
        return "<h2>Since when</h2><p>No record says when it was written.</p>"
    drawn = columns([(m, counts) for m, counts in months.items()], WAYS, title="Findings by month")
    return f"<h2>Since when</h2><figure>{drawn}</figure><p class='soft'>By the times that records tell; {told['untimed']:,} findings are in records that tell none.</p>"


def _sent(told: Mapping[str, JSON]) -> str:
    rows = [
        (
            escape(p["host"] or p["provider"] or "not said"),
            escape(p["model"] or ""),
            escape(", ".join(f"{n:,} {e}" for e, n in list(p["entities"].items())[:6])),
            f"{p['findings']:,}",
        )
        for p in told["sent_to"][:MOST]
    ]
    if not rows:
        return ""
    return "<h2>Sent where</h2>" + _table(("host", "model", "what", "findings"), rows)


def _who(told: Mapping[str, JSON]) -> str:
    rows = [
        (f'<span class="mono">{escape(str(c["caller"])[:16])}</span>', f"{c['findings']:,}")
        for c in told["callers"][:MOST]
    ]
    if not rows:
        return ""
    return (
        "<h2>By whom</h2><p>Callers as tokens: whoever has the key can tell whose each is.</p>"
        + _table(("caller", "findings"), rows)
    )


def _where(told: Mapping[str, JSON]) -> str:
    rows = [
        (f'<span class="mono">{escape(f["file"])}</span>', f"{f['findings']:,}")
        for f in told["files"][:MOST]
    ]
    if not rows:
        return ""
    return "<h2>Where</h2>" + _table(("file", "findings"), rows)


def _unread(told: Mapping[str, JSON]) -> str:
    if not told["unread"]:
        return "<h2>Not read</h2><p>Everything was read.</p>"
    reasons: dict[str, list[str]] = {}
    for one in told["unread"]:
        at = one["path"] + (f"!/{one['member']}" if one["member"] else "")
        reasons.setdefault(one["reason"], []).append(at)
    rows = [
        (
            escape(why),
            f'<span class="mono">{escape(", ".join(places[:3]))}{" …" if len(places) > 3 else ""}</span>',
            f"{len(places):,}",
        )
        for why, places in sorted(reasons.items(), key=lambda r: -len(r[1]))
    ]
    return "<h2>Not read</h2><p>What is listed here may hold anything.</p>" + _table(
        ("why", "where", "how many"), rows
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The last column is a number; cells are HTML."""

    def line(cells: Sequence[str], tag: str) -> str:
        last = f'<{tag} class="n">{cells[-1]}</{tag}>'
        return "".join(f"<{tag}>{cell}</{tag}>" for cell in cells[:-1]) + last

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
