#!/usr/bin/env python3
"""Measure a tagger on carriers that training never saw: `scripts/tagger/measure.py DATA MODEL`.

They are one in ten of those that it learns from (:func:`tagger.batches.held_out`), and all of
``held_out*.txt``, which other hands wrote. Prints, by file, label and language, the share of spans
of which at least 80 % of the letters and digits were found; of texts with such a span, the share
that leaks one; and the share of texts without anything personal that got a finding. Dates, places
and organisations do not count.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tagger.batches import Sources
from tagger.compose import BIT, UNSURE, carriers

from sovereign.guard.recognizers.tagger import Tagger
from sovereign.guard.recognizers.tagger.net import LABELS, parse

PERSONAL = set(LABELS) - {"O", "ORG", "LOC"}
FILLINGS = 12


def main() -> None:
    data, model = Path(sys.argv[1]), Path(sys.argv[2])
    sources = Sources(data, random.Random(99), test=True)
    tagger = Tagger(parse(model.read_bytes()))
    groups = {"one in ten": sources.carriers + sources.negative}
    for file in sorted(Path(__file__).parent.glob("held_out*.txt")):
        groups[file.stem] = [(lang, text, True) for lang, text in carriers(file)]
    firm = {BIT[name]: name for name in PERSONAL}
    for group, texts in groups.items():
        hits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for lang, carrier, sure in texts * FILLINGS:
            t = sources.composer.fill(lang, carrier, firm=sure)
            found = bytearray(len(t.text))
            for s in tagger.spans(t.text):
                if s.label in PERSONAL:
                    found[s.start : s.end] = b"\1" * (s.end - s.start)
            leak, core = False, False
            for a, b, mask in t.spans:
                if mask in firm:
                    chars = [i for i in range(a, b) if t.text[i].isalnum()]
                    caught = bool(chars) and sum(found[i] for i in chars) >= 0.8 * len(chars)
                    core, leak = True, leak or not caught
                    for key in (firm[mask], f"lang {lang}", "all"):
                        hits[key][0] += caught
                        hits[key][1] += 1
            if core:
                hits["leak"][0] += leak
                hits["leak"][1] += 1
            elif not any(mask == UNSURE for _, _, mask in t.spans):
                hits["false alarm"][0] += any(found)
                hits["false alarm"][1] += 1
        line = (f"{k} {100 * a / b:.1f}/{b}" for k, (a, b) in sorted(hits.items()))
        print(f"{group}: {'  '.join(line)}", flush=True)


if __name__ == "__main__":
    main()
