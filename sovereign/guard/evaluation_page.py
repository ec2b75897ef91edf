"""An evaluation as one HTML page: no script, no external resource, light and dark. Missed spans are
on it only if the report holds them, and then it says that it is confidential."""

# ruff: noqa: E501 - a page is written as a page

from __future__ import annotations

from html import escape

from sovereign.entities import describe
from sovereign.guard.evaluate import Missed, Rate, Report

__all__ = ["page"]

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6673;--paper:#fbfbfa;--card:#fff;--line:#e3e5e8;
--good:#1d7f5f;--fair:#b07a08;--poor:#b93a32;--track:#eceef0;--mark:#fde8c8}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#98a2ae;--paper:#14171a;--card:#1c2024;
--line:#2e343a;--good:#4dbd95;--fair:#dba63c;--poor:#ec7268;--track:#2a3036;--mark:#5a4013}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;
padding:2.5rem 1.25rem}
main{max-width:60rem;margin:0 auto}
h1{font-size:1.6rem;margin:0 0 .25rem;letter-spacing:-.01em}
h2{font-size:1.05rem;margin:2.5rem 0 .75rem}
p{margin:.25rem 0;color:var(--soft);overflow-wrap:anywhere}
.alarm{background:var(--poor);color:#fff;padding:.6rem 1rem;border-radius:.5rem;margin:0 0 1.5rem;
font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.75rem;margin-top:1.5rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.9rem 1rem}
.card b{display:block;font-size:1.75rem;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{color:var(--soft);font-size:.85rem;display:block}
table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line);
border-radius:.6rem;overflow:hidden}
th,td{text-align:left;padding:.5rem .75rem;border-top:1px solid var(--line);vertical-align:middle}
thead th{border-top:0;color:var(--soft);font-weight:500;font-size:.85rem}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td small{display:block;color:var(--soft)}
.bar{width:45%}.bar svg{display:block;width:100%;height:14px}
.good{color:var(--good);fill:var(--good)}.fair{color:var(--fair);fill:var(--fair)}
.poor{color:var(--poor);fill:var(--poor)}
.unsure{fill:var(--soft)}
.track{fill:var(--track)}.whisker{fill:var(--ink)}
mark{background:var(--mark);color:inherit;border-radius:.2rem;padding:0 .15rem}
td.quote{font-family:ui-monospace,monospace;font-size:.85rem;overflow-wrap:anywhere;white-space:pre-wrap}
.scroll{overflow-x:auto}
@media(max-width:36rem){.bar{display:none}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report, *, title: str, policy: str, to: str, digest: str, build: str) -> str:
    """The whole page. ``policy``, ``to`` (a destination), ``digest`` and ``build`` say what was measured."""
    alarm = (
        '<div class="alarm">Confidential: this page quotes personal data that was missed.</div>'
        if report.missed
        else ""
    )
    rows = "".join(_row(name, rate) for name, rate in _worst_first(report))
    refused = (
        f" {report.refused} could not be read and were refused: nothing of them counts as found."
        if report.refused
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)}: guard evaluation</title><style>{_STYLE}</style></head><body><main>
{alarm}<h1>Guard evaluation: {escape(title)}</h1>
<p>{report.documents:,} documents, policy <b>{escape(policy)}</b>, on the way to <b>{escape(to)}</b>.{refused}</p>
<p>Intervals are Wilson's, at 95 %; a colour says that the whole of one is good (within 3 % of the best), fair (10 %) or
poor, no colour that the set is too small to say. Only letters and digits count; a span is caught when 80 % of it is
held back, whatever it was called.</p>
<div class="cards">
{_card("Recall", "of the characters that must be found", report.recall)}
{_card("Leak", "documents with personal data of which a span was not caught", report.leak)}
{_card("Gate miss", "documents with personal data that pass untouched", report.gate_miss)}
{_card("False alarms", "documents without personal data that are touched", report.false_alarm)}
{_card("Precision", "of the characters that are held back", report.precision)}
</div>
<h2>Recall by entity, weakest first</h2>
<div class="scroll"><table><thead><tr><th>Entity</th><th class="bar">Share caught, with interval</th>
<th class="n">Caught</th><th class="n">Interval</th><th class="n">Spans</th></tr></thead>
<tbody>{rows or '<tr><td colspan="5">no span that must be found</td></tr>'}</tbody></table></div>
{_misses(report.missed)}
<h2>What was measured</h2>
<p>policy digest {escape(digest)}</p><p>recognisers {escape(build)}</p>
</main></body></html>
"""


def _worst_first(report: Report) -> list[tuple[str, Rate]]:
    return sorted(report.entities.items(), key=lambda e: (e[1].share or 0.0, e[0]))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _grade(rate: Rate, *, up: bool = False) -> str:
    """What the whole interval says; nothing if its ends say two things. "0 %" of four documents is
    no good news yet."""
    low, high = rate.interval
    ends = {_of(1 - end if up else end) for end in (low, high)}
    return ends.pop() if rate.total and len(ends) == 1 else ""


def _of(bad: float) -> str:
    return "good" if bad <= 0.03 else "fair" if bad <= 0.10 else "poor"


def _card(name: str, what: str, rate: Rate) -> str:
    low, high = rate.interval
    grade = _grade(rate)
    sure = f"{100 * low:.1f} to {100 * high:.1f} %, {rate.hits:,} of {rate.total:,}"
    if name in ("Recall", "Precision"):  # characters of one document are no independent draws
        grade, sure = "", f"{rate.hits:,} of {rate.total:,}"
    return (
        f'<div class="card"><span>{name}</span><b class="{grade}">'
        f"{_percent(rate.share)}</b><span>{sure if rate.total else 'none in this set'}</span>"
        f"<span>{what}</span></div>"
    )


def _row(name: str, rate: Rate) -> str:
    low, high = rate.interval
    share = rate.share or 0.0
    plain = describe(name)
    words = f"<small>{escape(plain)}</small>" if plain != name else ""
    bar = (
        '<svg viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="1000" height="14" rx="3"/>'
        f'<rect class="{_grade(rate, up=True) or "unsure"}" width="{1000 * share:.0f}" height="14" rx="3"/>'
        f'<rect class="whisker" x="{1000 * low:.0f}" y="6" width="{1000 * (high - low):.0f}" '
        'height="2"/></svg>'
    )
    return (
        f'<tr><td>{escape(name)}{words}</td><td class="bar">{bar}</td>'
        f'<td class="n">{_percent(rate.share)}</td>'
        f'<td class="n">{100 * low:.1f}–{100 * high:.1f}</td><td class="n">{rate.total:,}</td></tr>'
    )


def _misses(missed: tuple[Missed, ...]) -> str:
    if not missed:
        return ""
    rows = "".join(
        f"<tr><td>{escape(m.entity)}</td><td>{escape(m.document)}<small>{m.start}–{m.end}</small></td>"
        f'<td class="quote">{escape(m.before)}<mark>{escape(m.text)}</mark>{escape(m.after)}</td>'
        f'<td class="n">{_percent(m.covered)}</td></tr>'
        for m in missed
    )
    return (
        "<h2>Missed spans (confidential)</h2>"
        '<div class="scroll"><table><thead><tr><th>Entity</th><th>Document</th><th>Text</th>'
        f'<th class="n">Covered</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
