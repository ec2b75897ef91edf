"""Fine-tunes open weights on private records. Torch is imported when a run starts."""

from __future__ import annotations

from sovereign.tune.recipe import Recipe, find_recipe, load_recipe, names
from sovereign.tune.record import RunRecord
from sovereign.tune.run import run

__all__ = ["Recipe", "RunRecord", "find_recipe", "load_recipe", "names", "run"]
