#!/usr/bin/env python3
"""How far a tagger's scores can be trusted: `scripts/tagger/trust.py DATA [MODEL]`.

DATA holds detection/; MODEL is the packaged one unless given. Prints, by label and kind of text,
of the findings whose score lies in a range, the share of which at least half of the letters and
digits lie in something that is labelled personal there.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from sovereign.guard.recognizers.tagger import Tagger
from sovereign.guard.recognizers.tagger.net import parse

KINDS = {
    "dense documents": ("regulated_dev", "regulated_clean_dev"),
    "short sentences": ("synth_v2",),
    "tweets": ("wnut17_dev", "btc_g"),
}
RANGES = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 2.0))
LABELS = ("PERSON", "ADDRESS", "ID", "SECRET", "USERNAME")
FEW = 20


def main() -> None:
    data = Path(sys.argv[1])
    tagger = Tagger(parse(Path(sys.argv[2]).read_bytes()) if len(sys.argv) > 2 else None)
    print("| | " + " | ".join(f"{a:g}–{min(b, 1):g}" for a, b in RANGES) + " |")
    print("|---" * (len(RANGES) + 1) + "|")
    for kind, sets in KINDS.items():
        hits: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        for name in sets:
            with gzip.open(data / "detection" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
                for row in map(json.loads, file):
                    _count(tagger, row, hits)
        for label in LABELS:
            cells = [hits[label, i] for i in range(len(RANGES))]
            if sum(n for _, n in cells) >= FEW:
                shown = (f"{100 * a / n:.0f} % of {n}" if n else "–" for a, n in cells)
                print(f"| {label}, {kind} | " + " | ".join(shown) + " |")


def _count(tagger: Tagger, row: dict[str, Any], hits: dict[tuple[str, int], list[int]]) -> None:
    text, personal = row["text"], bytearray(len(row["text"]))
    for s in row["spans"]:
        if s["tier"] != "ignore":
            personal[s["s"] : s["e"]] = b"\1" * (min(s["e"], len(text)) - s["s"])
    for found in tagger.spans(text):
        at = next(i for i, (low, high) in enumerate(RANGES) if low <= found.score < high)
        chars = [i for i in range(found.start, found.end) if text[i].isalnum()]
        cell = hits[found.label, at]
        cell[0] += 2 * sum(personal[i] for i in chars) >= len(chars)
        cell[1] += 1


if __name__ == "__main__":
    main()
