#!/usr/bin/env python3
"""Measure a tagger on carriers that training never saw: `scripts/tagger/measure.py DATA MODEL`.

One in ten carriers is kept from training (:func:`tagger.batches.held_out`). Prints, by language
and by label, the share of spans of which at least 80 % of the letters and digits were found, and
the share of texts without anything personal that got a finding.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tagger.batches import Sources
from tagger.compose import BIT, UNSURE

from sovereign.guard.recognizers.tagger import Tagger
from sovereign.guard.recognizers.tagger.net import LABELS, parse

PERSONAL = set(LABELS) - {"O", "ORG", "LOC"}


def main() -> None:
    data, model = Path(sys.argv[1]), Path(sys.argv[2])
    rng = random.Random(99)
    sources = Sources(data, rng, test=True)
    tagger = Tagger(parse(model.read_bytes()))
    hits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    firm = {BIT[name]: name for name in PERSONAL}
    texts = [("carrier", *c) for c in sources.carriers] * 12 + [
        ("negative", *c) for c in sources.negative
    ] * 12
    for kind, lang, carrier, sure in texts:
        t = sources.composer.fill(lang, carrier, firm=sure)
        found = bytearray(len(t.text))
        for s in tagger.spans(t.text):
            if s.label in PERSONAL:
                found[s.start : s.end] = b"\1" * (s.end - s.start)
        if kind == "negative":
            if not any(m in firm or m == UNSURE for _, _, m in t.spans):
                hits["false alarm"][1] += 1
                hits["false alarm"][0] += any(found)
            continue
        for a, b, mask in t.spans:
            if mask in firm:
                chars = [i for i in range(a, b) if t.text[i].isalnum()]
                caught = bool(chars) and sum(found[i] for i in chars) >= 0.8 * len(chars)
                for key in (firm[mask], f"lang {lang}", "all"):
                    hits[key][0] += caught
                    hits[key][1] += 1
    print("  ".join(f"{k}:{100 * a / b:.1f}/{b}" for k, (a, b) in sorted(hits.items())))


if __name__ == "__main__":
    main()
