#!/usr/bin/env python3
"""How the guard does on tests/vectors/heldout, documents that no recogniser was tuned on.

    .venv/bin/python scripts/heldout.py [--gold GOLD.jsonl] [--pred PRED.jsonl] [--missed]

Without PRED it runs the guard itself, all default recognisers, policy `direct`. Do not tune on
these documents, nor copy their values into training text: then they would measure nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import heldout_corpus as corpus  # noqa: E402

from sovereign.guard import Guard  # noqa: E402
from sovereign.guard.evaluate import Document, Rate, Report, Span, Tally, found_in  # noqa: E402
from sovereign.guard.recognizers import build  # noqa: E402
from sovereign.policy import load_policy  # noqa: E402
from sovereign.types import Destination  # noqa: E402

HOSTED = Destination("hosted", "hosted")


def main() -> int:
    """Write what was asked for and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gold", type=Path, help="write the labelled documents as JSON lines")
    parser.add_argument("--pred", type=Path, help='score these {"id", "spans": [[start, end]]}')
    parser.add_argument("--missed", action="store_true", help="list every span that was missed")
    options = parser.parse_args()
    documents = list(corpus.documents())
    if options.gold is not None:
        rows = (json.dumps(corpus.gold(d), ensure_ascii=False) for d in documents)
        options.gold.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    found = None if options.pred is None else _predicted(options.pred)
    guard = Guard(load_policy(preset="direct"), build(), key=b"h" * 32)

    tallies: dict[str, Tally] = {}
    for document in documents:
        labelled = _labelled(document)
        if found is None:
            counted = Tally()
            spans: Sequence[Sequence[int]] = found_in(guard, labelled, HOSTED, counted)
            refused = counted.refused
        else:
            spans, refused = found.get(document.id, []), 0
        groups = ("all", f"language {document.language}", f"domain {document.domain}")
        for group in groups:
            tally = tallies.setdefault(group, Tally(show_missed=options.missed))
            tally.add(labelled, spans)
            tally.refused += refused
    _print({name: tally.report() for name, tally in tallies.items()})
    return 0


def _labelled(document: corpus.Document) -> Document:
    spans = (Span(x.start, x.end, x.type, corpus.TIERS[x.type]) for x in document.spans)
    return Document(document.id, document.text, tuple(spans))


def _predicted(path: Path) -> dict[str, list[list[int]]]:
    """Spans as [start, end], or as `sovereign guard inspect --jsonl` writes them, whose fifth
    value says whether the policy acts on the finding."""
    rows = map(json.loads, filter(None, path.read_text(encoding="utf-8").splitlines()))
    return {row["id"]: [s[:2] for s in row["spans"] if len(s) < 5 or s[4]] for row in rows}


def _print(reports: dict[str, Report]) -> None:
    heads = ("recall", "precision", "leak", "gate miss", "false", "documents", "refused")
    print(f"{'':24}" + "".join(f"{head:>11}" for head in heads))
    for name in sorted(reports, key=lambda name: (name != "all", name)):
        r = reports[name]
        rates = (r.recall, r.precision, r.leak, r.gate_miss, r.false_alarm)
        numbers = [*map(_percent, rates), str(r.documents), str(r.refused)]
        print(f"{name:24}" + "".join(f"{number:>11}" for number in numbers))
    print("\ncaught, by type")
    for entity, rate in reports["all"].entities.items():
        print(f"{entity:24}{_percent(rate):>11}{rate.hits:>11} of {rate.total}")
    for missed in reports["all"].missed:
        context = f"{missed.before}[[{missed.text}]]{missed.after}".replace("\n", " ")
        print(f"{missed.document} {missed.entity} {missed.covered:.0%}: {context}")


def _percent(rate: Rate) -> str:
    return "-" if rate.share is None else f"{100 * rate.share:.1f}"


if __name__ == "__main__":
    sys.exit(main())
