"""The folder of a run while it is being written: by one process, and either whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sovereign.errors import TuneError
from sovereign.tune import adapter
from sovereign.tune.checkpoint import Checkpoints

__all__ = ["working"]

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.ENOTDIR)


@contextmanager
def working(
    out: Path, name: str, accelerator: Any, checkpoints: Checkpoints | None
) -> Iterator[tuple[Path | None, Any, Any]]:
    """Where the main process of the run writes; the others write nothing."""
    if not accelerator.is_main_process:
        yield None, None, None
        return
    try:
        with (
            adapter.partial(out, name) as (work, finish),
            _metrics(out / "metrics.jsonl", checkpoints) as metrics,
        ):
            yield work, finish, metrics
    except OSError as e:
        if e.errno not in UNWRITABLE:
            raise
        raise TuneError(
            f"{out}: cannot be written: {e.strerror or type(e).__name__}",
            hint="no adapter was kept",
        ) from None


def _metrics(file: Path, checkpoints: Checkpoints | None) -> TextIO:
    """The file to write on in: with the lines up to the checkpoint that the run goes on from."""
    found = checkpoints.found() if checkpoints is not None else None
    kept: list[str] = []
    if found is not None and file.exists():
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = lines[: found.steps]  # a line for each step
    opened = file.open("w", encoding="utf-8")
    opened.writelines(kept)
    return opened
