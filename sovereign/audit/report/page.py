"""The report as one HTML page: no script, nothing fetched, the same on a screen and on paper.

It draws the document that :mod:`.document` builds, and says nothing that is not in it.
"""

# ruff: noqa: E501 - a page is written as a page

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from sovereign.audit.report.charts import Series, bar, columns, legend
from sovereign.audit.report.document import duration, place, ranges

__all__ = ["OUTCOME_SERIES", "VERB_SERIES", "page"]

OUTCOME_SERIES = (
    Series("allowed", "sent unchanged", "#17375e"),
    Series("changed", "sent masked or pseudonymised", "#4f93c8"),
    Series("kept_local", "kept inside by the policy", "#1d6b4f"),
    Series("local", "asked of a model inside", "#a5d3bd"),
    Series("refused", "refused", "#c8553d"),
)
VERB_SERIES = (
    Series("allow", "sent in clear", "#17375e"),
    Series("mask", "sent masked", "#4f93c8"),
    Series("pseudonymize", "sent pseudonymised", "#9cc4e4"),
    Series("local", "stayed inside", "#1d6b4f"),
    Series("block", "refused, so not sent", "#c8553d"),
)
MOST_ROWS = 20
MOST_ENTITIES = 200  # all there are, but for what plugins make up
MOST_COLUMNS = 92
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")


def page(document: Mapping[str, Any]) -> str:
    """The whole page."""
    framework, period = document["framework"], document["period"]
    title = f"{framework['name']}: evidence from the audit log"
    body = "".join(
        (
            _cover(document),
            _summary(document),
            _controls(document),
            _gaps(document),
            _completeness(document),
            _appendix(document),
        )
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="description" content="{escape(document["log"]["origin"])}, {period["since"]} to {period["until"]}">
<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>
{body}</main></body></html>
"""


def _cover(document: Mapping[str, Any]) -> str:
    framework, log, period = document["framework"], document["log"], document["period"]
    checkpoint = document["checkpoint"]
    signed = "none that can be believed"
    if checkpoint is not None:
        parts = document["parts"]
        signed = "<br>".join(
            (f"log {part['log']}, " if len(parts) > 1 else "")
            + (
                f"{part['size']:,} records, root <span class='mono'>{part['root']}</span>"
                if part["root"]
                else "no checkpoint that can be believed"
            )
            for part in parts
        )
        signed += "".join(f"<br>cosigned by {escape(c['witness'])}" for c in checkpoint["cosigned"])
    says = "This is evidence for an assessment. It is not a statement of compliance, and no control is said to be met."
    if not document["verification"]["ok"]:
        says = "This is no evidence of anything but that: the log failed verification."
    records = "none in this period"
    if document["counts"]["records"]:
        records = f"{ranges(document)}; {document['counts']['records']:,} of them in the period"
    return f"""<section class="cover"><div class="top">
<p class="kicker">Evidence report</p>
<h1>{escape(framework["name"])}</h1>
<p class="lead">What applications asked of language models through the gateway, what was let out, changed,
kept inside and refused, and how an outsider can check it.</p>
{_verdict(document)}</div>
<dl><dt>Period (UTC)</dt><dd>{_when(period["since"])} to {_when(period["until"])}</dd>
<dt>Scope</dt><dd>the audit log <b class="origin">{escape(log["origin"])}</b></dd>
<dt>Records</dt><dd>{records}</dd>
<dt>Checkpoint</dt><dd>{signed}</dd>
<dt>Key</dt><dd><span class="mono">{escape(log["key"])}</span></dd>
<dt>Key's SHA-256</dt><dd><span class="mono">{_grouped(log["fingerprint"])}</span></dd>
<dt>Controls</dt><dd>{escape(framework["source"])}, {escape(framework["edition"])}</dd>
<dt>Made</dt><dd>{_when(document["made"])} by sovereign {escape(document["toolkit"])}</dd></dl>
<p class="soft">{says}</p>
</section>"""


def _verdict(document: Mapping[str, Any]) -> str:
    v = document["verification"]
    if v["ok"]:
        kept = document["checkpoint"]["kept_elsewhere"]
        also = (
            f" It agrees with {kept} checkpoint{'s' * (kept != 1)} kept elsewhere." if kept else ""
        )
        return (
            '<div class="verdict"><b>Verified: the log is what was signed.</b>'
            f"All {v['size']:,} records, their order and {v['checkpoints']:,} signed checkpoints were recomputed.{also}</div>"
        )
    shown = "".join(f"<li>{escape(p['text'])}</li>" for p in v["problems"][:8])
    more = v["problems_in_all"] - min(8, len(v["problems"]))
    rest = f"<p>and {more:,} more; report.json lists them.</p>" if more > 0 else ""
    return (
        '<div class="verdict bad" role="alert"><b>Not verified: the log is not what was signed.</b>'
        f"Nothing in this report is vouched for. What was found:<ul>{shown}</ul>{rest}</div>"
    )


def _summary(document: Mapping[str, Any]) -> str:
    totals, counts = document["totals"], document["counts"]
    hosted = totals["allowed"] + totals["changed"]
    per, buckets = _buckets(counts["over_time"])
    over_time = columns(buckets, OUTCOME_SERIES, title=f"Requests per {per}")
    chart = (
        f"<figure><figcaption>Requests per {per} (UTC)</figcaption>{over_time}</figure>"
        if over_time
        else '<p class="soft">No request was decided on in this period.</p>'
    )
    whole = bar(
        totals,
        OUTCOME_SERIES,
        of=totals["decisions"],
        title="What became of the requests",
        height=22,
        wide=720,
    )
    return f"""<h2>Summary</h2>
<div class="figures"><div><b>{totals["decisions"]:,}</b><span>requests decided on</span></div>
<div><b>{hosted:,}</b><span>sent to hosted APIs, {totals["changed"]:,} of them changed first</span></div>
<div><b>{totals["kept_local"] + totals["local"]:,}</b><span>answered inside, {totals["kept_local"]:,} of them by the policy's word</span></div>
<div><b>{totals["refused"]:,}</b><span>refused, so not sent</span></div></div>
<figure><figcaption>What became of the requests</figcaption>{whole}{legend(OUTCOME_SERIES, totals)}</figure>
{chart}
{_outcomes("Teams", "Team", counts["teams"])}
{_outcomes("Models", "Model asked for", counts["models"])}{_patterns(counts["models"])}
{_outcomes("Destinations", "Destination", counts["destinations"])}
{_entities(document)}
{_refusals(document)}"""


def _outcomes(title: str, head: str, table: Mapping[str, Mapping[str, int]]) -> str:
    if not table:
        return ""
    rows = sorted(table.items(), key=lambda row: (-sum(row[1].values()), row[0]))
    most = sum(rows[0][1].values())
    body = "".join(
        f'<tr><td class="name">{escape(name)}</td><td class="bar">{bar(counts, OUTCOME_SERIES, of=most, title=name)}</td>'
        + "".join(f'<td class="n">{_n(counts.get(s.key, 0))}</td>' for s in OUTCOME_SERIES)
        + f'<td class="n"><b>{sum(counts.values()):,}</b></td></tr>'
        for name, counts in _most(rows)
    )
    return f"""<h3>{title}</h3><table><thead><tr><th>{head}</th><th class="bar"></th><th class="n">sent<br>unchanged</th>
<th class="n">sent<br>changed</th><th class="n">kept<br>inside</th><th class="n">asked<br>inside</th><th class="n">refused</th>
<th class="n">all</th></tr></thead><tbody>{body}</tbody></table>"""


def _entities(document: Mapping[str, Any]) -> str:
    table, words = document["counts"]["entities"], document["entities_in_words"]
    if not table:
        return '<h3>What was found in the requests</h3><p class="soft">Nothing was found in any request of this period.</p>'
    rows = sorted(table.items(), key=lambda row: (-sum(row[1].values()), row[0]))
    most = sum(rows[0][1].values())
    body = "".join(
        f'<tr><td class="name">{_worded(name, words.get(name, name))}</td>'
        f'<td class="bar">{bar(counts, VERB_SERIES, of=most, title=name)}</td>'
        + "".join(f'<td class="n">{_n(counts.get(s.key, 0))}</td>' for s in VERB_SERIES)
        + f'<td class="n"><b>{sum(counts.values()):,}</b></td></tr>'
        for name, counts in _most(rows, MOST_ENTITIES)
    )
    return f"""<h3>What was found in the requests, and what became of it</h3>
<p class="soft">Findings, not requests: a value that stands twice counts twice. The first column is what the policy let go to
a hosted API as it was. What stayed inside was given to a model inside; what the policy changes for that one, it changed.</p>
{legend(VERB_SERIES)}<table><thead><tr><th>Entity</th><th class="bar"></th><th class="n">sent<br>in clear</th><th class="n">sent<br>masked</th>
<th class="n">sent pseu-<br>donymised</th><th class="n">stayed<br>inside</th><th class="n">refused</th><th class="n">all</th></tr></thead>
<tbody>{body}</tbody></table>"""


def _refusals(document: Mapping[str, Any]) -> str:
    refusals, words = document["counts"]["refusals"], document["refusals_in_words"]
    if not refusals:
        return ""
    rows = sorted(refusals.items(), key=lambda row: (-row[1], row[0]))
    body = "".join(
        f'<tr><td>{_worded(code, words.get(code) or code)}</td><td class="n">{n:,}</td></tr>'
        for code, n in rows[:MOST_ROWS]
    )
    return f'<h3>Why requests were refused</h3><table><thead><tr><th>Reason, and its code</th><th class="n">requests</th></tr></thead><tbody>{body}</tbody></table>'


def _controls(document: Mapping[str, Any]) -> str:
    framework = document["framework"]
    rows = "".join(
        f'<tr><td class="name">{escape(c["id"])}</td><td>{escape(c["title"])}</td><td>{_state(c["state"])}</td></tr>'
        for c in document["controls"]
    )
    return f"""<h2 class="new">Controls</h2>
<p>{escape(framework["source"])}, {escape(framework["edition"])}. Summaries are in our own words; the text itself governs.</p>
<p class="soft">{escape(framework["note"])}</p>
<p class="soft">"Has records" says that records in this log bear on a control. Whether it is met is not said.</p>
<table><thead><tr><th>Section</th><th>Control</th><th>In this log</th></tr></thead><tbody>{rows}</tbody></table>
{"".join(map(_control, document["controls"]))}"""


def _control(control: Mapping[str, Any]) -> str:
    items = "".join(
        f"<li{'' if e['count'] else ' class=zero'}><span>{escape(e['text'][:1].upper() + e['text'][1:])}</span><span>{_figure(e)}</span></li>"
        for e in control["evidence"]
    )
    cannot = "; ".join(control["gaps"])
    said = f'<p class="cannot"><b>This log cannot show</b> {escape(cannot)}.</p>' if cannot else ""
    return f"""<article class="control"><header><h3><span>{escape(control["id"])}</span> {escape(control["title"])}</h3>{_state(control["state"])}</header>
<p class="soft">{escape(control["asks"])}</p><p>{escape(control["shows"])}</p><ul>{items}</ul>{said}</article>"""


def _figure(evidence: Mapping[str, Any]) -> str:
    if evidence["first"] is None:
        return "" if evidence["name"] in ("verification", "completeness", "retention") else "0"
    first, last = evidence["first"], evidence["last"]
    where = f"record {place(first)}"
    if first != last:
        where = f"first record {place(first)}, last {place(last)}"
    return f"<b>{evidence['count']:,}</b> · {where}"


def _state(state: str) -> str:
    shown = "has records" if state == "evidence" else state
    return f'<span class="state {escape(state.split()[0])}">{escape(shown)}</span>'


def _gaps(document: Mapping[str, Any]) -> str:
    items = "".join(f"<li>{escape(gap)}</li>" for gap in document["gaps"])
    return f'<h2>Gaps</h2><p>What this log and this report do not show.</p><ol class="gaps">{items}</ol>'


def _completeness(document: Mapping[str, Any]) -> str:
    v, counts = document["verification"], document["counts"]
    events = counts["events"]
    silences = (
        "<br>".join(f"{duration(s)} from {_when(a)}" for s, a, _ in counts["silences"])
        or "none of three minutes or more"
    )
    rows = (
        ("Records read for this period", ranges(document) or "none"),
        ("Records in the period", f"{counts['records']:,}"),
        (
            "Records in the whole log",
            f"{v['size']:,}, of which {v['covered']:,} under a checkpoint",
        ),
        (
            "Sources in the period",
            f"{len(counts['sources']):,} (processes that wrote, each numbering its records); of the whole log's {v['sources']:,},"
            f" {v['sources_open']:,} have not closed: they still run, or were killed",
        ),
        ("Sources' numbers missing", f"{counts['numbers_missing']:,}"),
        (
            "Records declared lost",
            f"{counts['lost']:,} in the period, {v['declared_lost']:,} in the whole log",
        ),
        ("Heartbeats", f"{events.get('log.heartbeat', 0):,}"),
        ("Openings, closings", f"{events.get('log.open', 0):,}, {events.get('log.close', 0):,}"),
        ("Restarts of the log's writer", f"{events.get('log.restart', 0):,}"),
        ("Longest silences", silences),
    )
    return (
        "<h2>Completeness</h2><p>A tree proves what is in it; the sources' own numbers show what is missing.</p><dl>"
        + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
        + "</dl>"
    )


def _appendix(document: Mapping[str, Any]) -> str:
    counts = document["counts"]
    kinds = "".join(
        f'<tr><td class="mono">{escape(k)}</td><td class="n">{n:,}</td></tr>'
        for k, n in counts["events"].items()
    )
    digests = "".join(
        f'<tr><td>{what}</td><td class="mono">{escape(d)}</td><td class="n">{n:,}</td></tr>'
        for what, table in (("policy", counts["policies"]), ("recognisers", counts["builds"]))
        for d, n in sorted(table.items(), key=lambda row: -row[1])[:MOST_ROWS]
    )
    proofs = "".join(
        f'<tr><td class="n">{place(p["place"])}</td><td>{escape(p["why"][:1].upper() + p["why"][1:])}</td></tr>'
        for p in document.get("proofs", ())
    )
    checkpoint = (
        f"<h3>The signed checkpoint</h3><pre>{escape(document['note'])}</pre>"
        if document.get("note")
        else ""
    )
    parts = [
        f'<h2 class="new">Appendix: records, digests, proofs</h2><h3>Record types in the period</h3><table class="half"><thead><tr><th>Type</th><th class="n">records</th></tr></thead><tbody>{kinds}</tbody></table>'
    ]
    if digests:
        parts.append(
            f'<h3>Policies and recognisers that decided</h3><table><thead><tr><th></th><th>SHA-256</th><th class="n">decisions</th></tr></thead><tbody>{digests}</tbody></table>'
        )
    parts.append(checkpoint)
    if proofs:
        parts.append(
            f'<h3>Proofs in the archive</h3><p class="soft">Each file <span class="mono">proofs/RECORD.tlog-proof</span> proves one record against its log’s checkpoint, without the log (c2sp.org/tlog-proof).</p><table class="slim"><thead><tr><th class="n">Record</th><th>Evidence of</th></tr></thead><tbody>{proofs}</tbody></table>'
        )
    parts.append(
        "<h3>How to check this report</h3><p>The archive that this page comes in opens with any ZIP program. "
        "Its README says how to check every file, signature, proof and count with Python and the package "
        "<span class='mono'>cryptography</span> alone. Compare the key on the first page with one that was noted "
        "when the log was begun, not with one that came with this report.</p>"
    )
    return "".join(parts)


def _buckets(
    over_time: Mapping[str, Mapping[str, int]],
) -> tuple[str, list[tuple[str, Mapping[str, int]]]]:
    """What a bucket is, such as "day" or "7 days", and (label, counts) of each, without holes; days
    are joined to weeks of them where they are too many."""
    names = list(_between(min(over_time), max(over_time))) if over_time else []
    per = -(-len(names) // MOST_COLUMNS) if names else 1
    if per > 1 and len(names[0]) == len("2026-01-31"):
        per = max(per, 7)
    found: list[tuple[str, Mapping[str, int]]] = []
    for i in range(0, len(names), per):
        counts: dict[str, int] = {}
        for name in names[i : i + per]:
            for key, n in over_time.get(name, {}).items():
                counts[key] = counts.get(key, 0) + n
        label = (
            names[i][5:]
            if len(names[i]) == len("2026-01-31")
            else f"{names[i][8:10]}. {names[i][11:]}h"
        )
        found.append((label, counts))
    unit = "hour" if names and len(names[0]) > len("2026-01-31") else "day"
    return unit if per == 1 else f"{per} {unit}s", found


def _between(first: str, last: str) -> Iterator[str]:
    from datetime import datetime, timedelta

    length = len(first)
    step = timedelta(days=1) if length == len("2026-01-31") else timedelta(hours=1)
    moment = datetime.fromisoformat(first if step.days else f"{first}:00")
    while (name := moment.isoformat()[:length]) <= last:
        yield name
        moment += step


def _most(
    rows: list[tuple[str, Mapping[str, int]]], most: int = MOST_ROWS
) -> list[tuple[str, Mapping[str, int]]]:
    """The first rows, and all others as one."""
    if len(rows) <= most:
        return rows
    rest: dict[str, int] = {}
    for _, counts in rows[most - 1 :]:
        for key, n in counts.items():
            rest[key] = rest.get(key, 0) + n
    return [*rows[: most - 1], (f"({len(rows) - most + 1:,} others)", rest)]


def _patterns(models: Mapping[str, Any]) -> str:
    said = "A name with @ stands for all models of one pattern of the configuration, as gpt-@ for gpt-*: what a caller wrote there is the caller's text, and the log holds none."
    return f'<p class="soft">{said}</p>' if any("@" in name for name in models) else ""


def _worded(name: str, words: str) -> str:
    """An entity in words, and its name as policies write it."""
    if words == name:
        return escape(name)
    return f'{escape(words[:1].upper() + words[1:])}<small class="mono">{escape(name)}</small>'


def _n(n: int) -> str:
    return f"{n:,}" if n else '<span class="soft">–</span>'


def _when(time: str) -> str:
    return escape(time[:16].replace("T", " "))


def _grouped(digest: str) -> str:
    return " ".join(digest[i : i + 8] for i in range(0, len(digest), 8))
