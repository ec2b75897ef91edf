#!/usr/bin/env python3
"""Train the tagger: `OMP_NUM_THREADS=1 python scripts/train_tagger.py DATA OUT [--epochs N]`.

DATA is the folder that holds ner_train/, carriers/ and gazetteers/; OUT is the model file. The
same seed, data, thread count and torch build give the same file. Needs the `tune` extra (torch);
the tagger itself does not. Takes some ten CPU-minutes and 4 GB.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from tagger.batches import Lexicon, Sources, batches, epoch
from tagger.network import Tagger, export

AVERAGED = 0.75
"""The share of the steps after which weights count into the mean that is exported."""


class Mean:
    """The mean of a model's weights over the last steps: steadier than the last step's."""

    def __init__(self, model: Tagger) -> None:
        self._copy, self._count = copy.deepcopy(model), 0

    def add(self, model: Tagger) -> None:
        self._count += 1
        with torch.no_grad():
            for m, w in zip(self._copy.parameters(), model.parameters(), strict=True):
                m.lerp_(w, 1 / self._count)

    def of(self, model: Tagger) -> Tagger:
        """The mean; the model as it is while nothing was added."""
        return self._copy if self._count else model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--generated", type=int, default=85_000, help="generated texts an epoch")
    parser.add_argument("--share", type=float, default=1.0, help="share of the real sets an epoch")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {line}", flush=True)

    sources = Sources(args.data, rng)
    lexicon = Lexicon(sources.keys, sources.masks)
    say(f"read {len(sources.real)} texts, {len(sources.keys)} gazetteer words")
    model = Tagger(args.width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01, fused=True)
    mean = Mean(model)
    total, done = 0, 0
    for e in range(args.epochs):
        texts = epoch(sources, lexicon, rng, args.generated, args.share)
        plan = batches(texts, args.tokens, rng)
        total = total or len(plan) * args.epochs
        say(f"epoch {e}: {len(texts)} texts, {len(plan)} steps, {len(lexicon)} words")
        seen = 0.0
        for k, batch in enumerate(plan):
            for group in optimizer.param_groups:
                group["lr"] = args.rate * max(0.02, 1 - done / total) * min(1.0, (done + 1) / 100)
            loss = model.loss(batch, lexicon)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            done += 1
            if done > AVERAGED * total and done % 10 == 0:
                mean.add(model)
            seen += (float(loss.detach()) - seen) / min(k + 1, 300)
            if k % 250 == 249:
                say(f"step {done}/{total}  loss {seen:.4f}")
        export(
            mean.of(model),
            sources,
            args.out,
            {"seed": args.seed, "epochs": args.epochs, "steps": done},
        )
    raw = args.out.read_bytes()
    say(f"{args.out}: {len(raw)} bytes")
    print(f'MODEL_SHA256: Final = "{hashlib.sha256(raw).hexdigest()}"')


if __name__ == "__main__":
    main()
