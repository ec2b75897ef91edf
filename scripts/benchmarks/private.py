"""What a real model keeps of inserted secrets: trained plainly, with DP-LoRA, and not at all.

    scripts/bench private [--runs 4] [--epsilon 8] [--store DIR] [--json FILE]

Needs the small model in a store (`sovereign weights import`). Each run has secrets, an order of
rows and a start of its own (`train.seed`), and is trained twice: plainly and privately, with the
same rows, update, steps, batch and rate. All copies of a secret are one group, as the rows of one
patient are: what is private is the group. Runs are looked at together, so that a weak trace would
be seen. Then two planted runs whose steps are too small to move a logit: each has to fail. Some ten
CPU minutes a private run. Figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from math import sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import TuneError
from sovereign.tune import find_recipe, load_recipe, run, stats
from sovereign.weights.store import Store

RECIPE = "scenarios/healthcare"
SAME = ["train.steps=40", "train.batch=24", "train.lr=2e-3", "train.schedule=constant"]
SAME += ["lora.r=4", "lora.alpha=16", 'lora.target=["q_proj", "v_proj"]']
SAME += ["memorization.canaries=12", "memorization.copies=[0, 1, 10]", "memorization.probes=0"]
SAME += ["eval.before=false", "eval.limit=6"]
NOTHING = {
    "plain": ["train.lr=1e-12", "train.steps=2"],
    "private": ["train.lr=1e-12", "train.steps=2", "privacy.epsilon=8"],
}


def trained(store: Store, *more: str) -> dict[str, Any]:
    """One run, in numbers."""
    recipe = load_recipe(find_recipe(RECIPE), [*SAME, *more])
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))  # of a run that is thrown away
    with tempfile.TemporaryDirectory() as out:
        made = run(recipe, store, Path(out), key=key).data
    kept, training = made["memorization"], made["training"]
    return {
        "loss": [round(training["loss_first"], 3), round(training["loss_last"], 3)],
        "bits": {str(e["copies"]): e["bits"] for e in kept["exposure"]},
        "p": kept["p"],
        "exact": made["evaluation"]["after"],
        "privacy": made["privacy"],
        "precision": made["hyperparameters"]["train"]["precision"],
        "rows": made["data"]["train"]["used"] + made["data"]["train"]["canaries"],
        "seconds": training["seconds"],
    }


def refused(store: Store, planted: str) -> str:
    """Why a run that learns nothing failed; empty if it did not."""
    try:
        trained(store, *NOTHING[planted])
    except TuneError as e:
        return e.message
    return ""


def line(name: str, said: dict[str, Any]) -> str:
    bits = ", ".join(f"{copies}: {mean(values)}" for copies, values in said["bits"].items())
    loss = " to ".join(map(str, said["loss"]))
    return f"{name:<12} loss {loss}; bits by copies {bits}; p = {said['p']:.2g}"


def mean(values: list[float]) -> str:
    middle, low, high = stats.mean_interval(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All secrets of ``runs``: their bits; how likely those with copies rank so high by chance
    beside those with none, where ties make p larger; and by how many bits they are above them."""
    bits = {c: [b for run in runs for b in run["bits"][c]] for c in runs[0]["bits"]}
    none = bits["0"]
    return {
        "runs": len(runs),
        "bits": {c: [round(x, 3) for x in stats.mean_interval(v)] for c, v in bits.items()},
        "p": {c: stats.rank_sum_p(v, none) for c, v in bits.items() if c != "0"},
        "above": {c: above(v, none) for c, v in bits.items() if c != "0"},
    }


def above(values: list[float], others: list[float]) -> list[float]:
    """The difference of the means, and its 95 % interval."""
    middle = fmean(values) - fmean(others)
    half = stats.Z95 * sqrt(variance(values) / len(values) + variance(others) / len(others))
    return [round(x, 3) for x in (middle, middle - half, middle + half)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4, help="of each way")
    parser.add_argument("--epsilon", type=float, default=8)
    parser.add_argument("--store", type=Path, default=Path(".cache/test-store-v2"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    store = Store(args.store, args.store / "sovereign.lock")
    ways = {"plain": (), "private": (f"privacy.epsilon={args.epsilon:g}",)}
    found: dict[str, Any] = {"recipe": RECIPE, "overrides": SAME, **{way: [] for way in ways}}
    for seed in range(1, args.runs + 1):
        for way, more in ways.items():
            found[way].append(trained(store, f"train.seed={seed}", *more))
            print(line(way, found[way][-1]), flush=True)
    found["together"] = {way: together(found[way]) for way in ways}
    for way, said in found["together"].items():
        for copies, p in said["p"].items():
            middle, low, high = said["above"][copies]
            bits = f"{middle:.2f} bits ({low:.2f} to {high:.2f}) above none"
            print(f"{way}, {said['runs']} runs: {copies} copies {bits}, p = {p:.2g}")
    found["no-op"] = {planted: refused(store, planted) for planted in NOTHING}
    for name, why in found["no-op"].items():
        print(f"no-op, {name}: {f'failed: {why}' if why else 'PASSED, and must not'}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
