"""The folder of a run while it is being written: by one process, and either whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sovereign.errors import TuneError
from sovereign.tune import adapter
from sovereign.tune.checkpoint import Checkpoints
from sovereign.tune.metrics import Metrics, opened
from sovereign.tune.recipe import Recipe

__all__ = ["working"]

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.ENOTDIR)


@contextmanager
def working(
    out: Path, name: str, accelerator: Any, checkpoints: Checkpoints | None, recipe: Recipe
) -> Iterator[tuple[Path | None, Any, Metrics | None]]:
    """Where the main process of the run writes; the others write nothing."""
    if not accelerator.is_main_process:
        yield None, None, None
        return
    found = checkpoints.found() if checkpoints is not None else None
    done = 0 if found is None else found.steps  # a line for each step
    try:
        with (
            adapter.partial(out, name) as (work, finish),
            opened(out, recipe.metrics, done, recipe.name) as metrics,
        ):
            yield work, finish, metrics
    except OSError as e:
        if e.errno not in UNWRITABLE:
            raise
        raise TuneError(
            f"{out}: cannot be written: {e.strerror or type(e).__name__}",
            hint="no adapter was kept",
        ) from None
