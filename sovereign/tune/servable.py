"""What a recipe's outcome needs besides a machine that trains it: engines that serve it, and room
on the disk. By the recipe alone, before anything is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.errors import TuneError

if TYPE_CHECKING:
    from sovereign.tune.recipe import Recipe

__all__ = ["disk", "hold_disk", "served_by"]

MERGED = "merged, by `tune export`"
GGUF = "merged, by `tune export --gguf`"


def served_by(recipe: Recipe) -> dict[str, str]:
    """Each engine that ``sovereign serve`` knows, and in what form it takes what is made."""
    if recipe.train.method == "full":
        return {"transformers": "a model", "vllm": "a model", "llamacpp": GGUF}
    if recipe.lora.kind == "dora":
        return {"transformers": MERGED, "vllm": MERGED, "llamacpp": GGUF}
    beside = "beside its base"
    return {"transformers": beside, "vllm": beside, "llamacpp": GGUF}


def disk(trainable: int, recipe: Recipe) -> int:
    """Bytes that a run writes at most: what is trained, and its checkpoint (weights, two moments,
    the best update), twice while one takes the other's place."""
    copies = 1
    if recipe.privacy is None and recipe.train.checkpoint_every:
        copies += 2 * (3 + (recipe.eval.keep == "best"))
    return 4 * trainable * copies


def hold_disk(folder: Path, size: int) -> None:
    """Raises :class:`TuneError` if ``size`` bytes do not fit where ``folder`` is, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise TuneError(
            f"{folder}: a run writes up to {size / 1e9:.2f} GB, {free / 1e9:.2f} GB are free",
            hint="free some space, or choose another --out",
        )
