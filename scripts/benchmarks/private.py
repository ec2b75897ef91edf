"""What a real model keeps of inserted secrets: trained plainly, with DP-LoRA, and not at all.

    scripts/bench private [--runs 3] [--epsilon 8] [--store DIR] [--json FILE]

Needs the small model in a store (`sovereign weights import`). Rows, canaries, update, steps, batch
and learning rate are the same for all; noise and draws of a private run are the system's, so it is
repeated. Then two planted runs whose steps are too small to move a logit: each has to fail. Some
twenty minutes on two cores. Figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import TuneError
from sovereign.tune import find_recipe, load_recipe, run
from sovereign.weights.store import Store

RECIPE = "scenarios/healthcare"
SAME = ["train.steps=40", "train.batch=32", "train.lr=2e-3", "train.schedule=constant"]
SAME += ["lora.r=4", "lora.alpha=16", 'lora.target=["q_proj", "v_proj"]', "train.precision=fp32"]
SAME += ["memorization.canaries=8", "memorization.copies=[0, 1, 10]", "memorization.probes=0"]
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
        "exposure": {str(e["copies"]): [e["mean"], e["low"], e["high"]] for e in kept["exposure"]},
        "p": kept["p"],
        "epsilon": made["privacy"]["epsilon"],
        "sigma": made["privacy"].get("sigma"),
        "delta": made["privacy"].get("delta"),
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
    bits = ", ".join(
        f"{c}: {m:.1f} ({a:.1f} to {b:.1f})" for c, (m, a, b) in said["exposure"].items()
    )
    loss = " to ".join(map(str, said["loss"]))
    return f"{name:<12} loss {loss}; bits by copies {bits}; p = {said['p']:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="of private training")
    parser.add_argument("--epsilon", type=float, default=8)
    parser.add_argument("--store", type=Path, default=Path(".cache/test-store-v2"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    store = Store(args.store, args.store / "sovereign.lock")
    private = f"privacy.epsilon={args.epsilon:g}"
    found: dict[str, Any] = {"recipe": RECIPE, "overrides": SAME, "plain": trained(store)}
    print(line("plain", found["plain"]), flush=True)
    found["private"] = []
    for _ in range(args.runs):
        found["private"].append(trained(store, private))
        print(line(f"epsilon {args.epsilon:g}", found["private"][-1]), flush=True)
    found["no-op"] = {planted: refused(store, planted) for planted in NOTHING}
    for name, why in found["no-op"].items():
        print(f"no-op, {name}: {f'failed: {why}' if why else 'PASSED, and must not'}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
