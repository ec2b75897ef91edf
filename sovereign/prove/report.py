"""What a proof says, for machines and for people: JSON, and one HTML page that loads nothing. No
value stands in either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sovereign.prove.run import HELD, INSIDE, LEAKED, REFUSED, UNCLEAR, Outcome, Proof
from sovereign.prove.suites import Suite
from sovereign.types import JSON

__all__ = ["NOT_TESTED", "Result", "page", "verdict"]

NOT_TESTED = (
    "how much the recognisers find in your own text: `sovereign guard evaluate`",
    "kinds of data that are not in the corpus; it uses social security, card, account, record and "
    "telephone numbers, mail addresses, names and API keys",
    "ciphers, reversed text, compression inside text, base85, foreign encodings, leetspeak",
    "values that only a model could put together again, such as riddles",
    "what pictures and voices say when the deployment changes them before it sends them on",
    "what a destination sends back that was never in the request",
    "other ways out of your network: DNS, logs, metrics, other programs",
    "the hosted API itself: a stand-in played it",
    "load, time-outs and crashes: see docs/faults.md for what this toolkit's own tests do",
)
"""What no run of this command shows."""

GOOD, BAD, NOTHING = "nothing leaked", "leaked", "proves nothing"
FAILED = "a public suite failed"


@dataclass(frozen=True, slots=True)
class Result:
    """All that a run showed."""

    base: str
    seed: int
    version: str
    time: str
    proof: Proof
    suites: Sequence[Suite]
    not_run: Sequence[str]

    def data(self) -> JSON:
        """As JSON."""
        proof = self.proof
        return {
            "verdict": verdict(self),
            "base": self.base,
            "seed": self.seed,
            "version": self.version,
            "time": self.time,
            "counts": {w: proof.count(w) for w in (LEAKED, HELD, REFUSED, INSIDE, UNCLEAR)},
            "negative_control": {"sent": len(proof.outcomes), "not_seen": proof.blind},
            "problems": proof.problems,
            "probes": [
                {"name": o.probe, "group": o.group, "outcome": o.what, "status": o.status}
                for o in proof.outcomes
            ],
            "suites": [
                {"name": s.name, "version": s.version, "passed": s.passed, "says": s.says}
                for s in self.suites
            ],
            "not_tested": [*self.untested()],
        }

    def untested(self) -> list[str]:
        """What this run left out, then what every run leaves out."""
        own = list(self.not_run)
        if self.proof.skipped:
            own.append(
                f"{len(self.proof.skipped)} probes of the Anthropic wire: no --anthropic-model"
            )
        own += [f"{s.name}: {s.says}" for s in self.suites if s.passed is None]
        return [*own, *NOT_TESTED]


def verdict(result: Result) -> str:
    """One of the four words above. A leak that we saw counts before anything else, then what a
    suite of others says, which may have other reasons to fail."""
    if result.proof.count(LEAKED):
        return BAD
    if any(s.passed is False for s in result.suites):
        return FAILED
    unproven = (
        result.proof.problems
        or result.proof.count(UNCLEAR)
        or any(s.passed is None and s.version for s in result.suites)  # installed, and no result
    )
    return NOTHING if unproven else GOOD


_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--card:#f6f8fa;
--back:#fff;--good:#1a7f4b;--bad:#b3261e;--fair:#8a6100}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#323a45;--card:#1a2029;
--back:#12161c;--good:#4cc38a;--bad:#ff8a80;--fair:#e0b04c}}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem}
h1{font-size:1.7rem;margin:0 0 .25rem}h2{margin:2.2rem 0 .6rem;font-size:1.2rem}
p{margin:.4rem 0;color:var(--soft)}
.verdict{display:inline-block;margin:1rem 0;padding:.5rem 1rem;border-radius:.5rem;border:2px solid;
font-weight:700}
.good{color:var(--good)}.bad{color:var(--bad)}.fair{color:var(--fair)}
.cards{display:flex;flex-wrap:wrap;gap:.75rem}
.card{flex:1 1 8rem;padding:.75rem 1rem;border:1px solid var(--line);border-radius:.5rem;
background:var(--card)}
.card b{display:block;font-size:1.7rem}.card span{color:var(--soft);font-size:.85rem}
table{width:100%;border-collapse:collapse;font-size:.92rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}details{margin:.4rem 0}summary{cursor:pointer;padding:.3rem 0}
.names{columns:3 14rem;padding-left:1.1rem;margin:.3rem 0 1rem;font-size:.9rem}
li{break-inside:avoid}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_MEANS = {
    LEAKED: ("leaked", "the value arrived at the hosted side", "bad"),
    HELD: ("held back", "the request arrived, its value did not", "good"),
    REFUSED: ("refused", "nothing arrived, the caller got an error", "good"),
    INSIDE: ("kept inside", "nothing arrived, the caller got an answer", "good"),
    UNCLEAR: ("unclear", "no answer: nothing is known", "fair"),
}


def page(result: Result) -> str:
    """The whole page."""
    proof, word = result.proof, verdict(result)
    grade = {GOOD: "good", BAD: "bad", FAILED: "bad", NOTHING: "fair"}[word]
    cards = "".join(
        f'<div class="card"><b class="{mark if proof.count(what) else ""}">{proof.count(what)}</b>'
        f"{name}<br><span>{means}</span></div>"
        for what, (name, means, mark) in _MEANS.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>sovereign prove: {word}</title><style>{_STYLE}</style></head><body><main>
<h1>What left {escape(result.base)}</h1>
<p>{len(proof.outcomes)} probes, each with made-up values of its own, {escape(result.time)};
sovereign {escape(result.version)}, seed {result.seed}.</p>
<div class="verdict {grade}">{word}</div>
{_problems(proof)}
<div class="cards">{cards}</div>
{_leaks(proof)}
<h2>Controls</h2>
<p>Negative: each probe was also sent to the recorder directly, past the deployment. It was seen to
leak in {len(proof.outcomes) - len(proof.blind)} of {len(proof.outcomes)} cases: a leak would have
been seen here. Positive: a harmless request went through at the beginning and at the end.</p>
{_suites(result.suites)}
<h2>Every probe</h2>
{_groups(proof.outcomes)}
<h2>Not tested</h2>
<ul>{"".join(f"<li>{escape(line)}</li>" for line in result.untested())}</ul>
</main></body></html>
"""


def _problems(proof: Proof) -> str:
    """Why the run as a whole proves nothing."""
    unclear = [f"{o.group}/{o.probe}" for o in proof.outcomes if o.what == UNCLEAR]
    problems = list(proof.problems)
    if unclear:
        problems.append(f"No answer came to {len(unclear)}: {', '.join(unclear)}")
    return "".join(f'<p class="fair">{escape(problem)}</p>' for problem in problems)


def _leaks(proof: Proof) -> str:
    rows = "".join(
        f"<tr><td>{escape(o.probe)}</td><td>{escape(o.group)}</td><td>{o.status or '–'}</td></tr>"
        for o in proof.outcomes
        if o.what == LEAKED
    )
    if not rows:
        return ""
    return (
        '<h2 class="bad">Leaked</h2><table><thead><tr><th>Probe</th><th>Group</th>'
        f"<th>Status</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _suites(suites: Sequence[Suite]) -> str:
    if not suites:
        return ""
    words = {True: ("passed", "good"), False: ("failed", "bad"), None: ("not run", "fair")}
    rows = "".join(
        f"<tr><td>{escape(s.name)} {escape(s.version)}</td>"
        f'<td class="{words[s.passed][1]}">{words[s.passed][0]}</td><td>{escape(s.says)}</td></tr>'
        for s in suites
    )
    return f"<h2>Public suites</h2><table><tbody>{rows}</tbody></table>"


def _groups(outcomes: Sequence[Outcome]) -> str:
    groups: dict[str, dict[str, list[Outcome]]] = {}
    for one in outcomes:
        groups.setdefault(one.group, {}).setdefault(one.what, []).append(one)
    out = ""
    for group, by_what in groups.items():
        ended = ", ".join(
            f'<span class="{_MEANS[what][2]}">{len(by_what[what])} {_MEANS[what][0]}</span>'
            for what in _MEANS
            if what in by_what
        )
        lists = "".join(
            f"<p>{_MEANS[what][0]}</p><ul class='names'>"
            + "".join(f"<li>{escape(o.probe)}</li>" for o in by_what[what])
            + "</ul>"
            for what in _MEANS
            if what in by_what
        )
        out += f"<details><summary><b>{escape(group)}</b>: {ended}</summary>{lists}</details>"
    return out
