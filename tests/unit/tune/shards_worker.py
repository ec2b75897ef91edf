"""One process of several over a model that is cut: torchrun starts two (test_shards.py)."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.tune.checkpoint import Checkpoints
from sovereign.tune.recipe import load_recipe
from sovereign.tune.run import run
from sovereign.weights.store import Store


class Killed(BaseException):
    pass


def main(root: Path, *ways: str) -> None:
    """For each way, a run that is killed after its first checkpoint and begun again."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    store = Store(root / "store", root / "store.lock")
    save = Checkpoints.save

    def last(self: Checkpoints, *args: Any) -> None:
        save(self, *args)
        raise Killed

    for way in ways:
        recipe = load_recipe(root / f"{way}.toml", ["train.shard=true"])
        Checkpoints.save = last  # type: ignore[method-assign]
        with contextlib.suppress(Killed):
            run(recipe, store, root / "cut" / way, key=key)
        Checkpoints.save = save  # type: ignore[method-assign]
        run(recipe, store, root / "cut" / way, key=key)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
