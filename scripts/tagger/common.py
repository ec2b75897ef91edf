#!/usr/bin/env python3
"""Write the names that are words too: `scripts/tagger/common.py DATA OUT`.

Out of the gazetteers' names, those that running text writes small at least twice, and at least
half as often as it writes them large. The guard looks for parts of a person's name in any case
but for these: "Rose" in a request that names a Rose is she; "rose" is not.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tagger.compose import BIT
from tagger.corpus import read
from tagger.names import gazetteer

from sovereign.guard.recognizers.tagger.tokens import fingerprint, fold

UNCASED = {"btc", "wnut17", "synth_addresses", "meddocan", "hwu64_home", "snips", "restaurant8k"}
"""Sets whose writers care little for capitals, or that hold names only."""

NAMES = 0b1111
WORD = re.compile(r"[^\W\d_]{4,}")


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    for s in read(data / "ner_train"):
        if s.name in UNCASED:
            continue
        person = bytearray(len(s.text))
        for a, b, mask in s.spans:
            if mask & BIT["PERSON"]:
                person[a:b] = b"\1" * (b - a)
        for m in WORD.finditer(s.text):
            if m.group().islower() and not person[m.start()]:
                small[fold(m.group())] += 1
            elif person[m.start()]:
                large[fold(m.group())] += 1
    keys, masks = gazetteer(data / "gazetteers", set())
    bits = dict(zip(keys.tolist(), masks.tolist(), strict=True))
    found = sorted(
        w
        for w, n in small.items()
        if n >= 2 and 2 * n >= large[w] and bits.get(fingerprint(w), 0) & NAMES
    )
    out.write_text("\n".join(found) + "\n", encoding="utf-8")
    print(f"{out}: {len(found)} words, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
