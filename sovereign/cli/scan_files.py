"""How the commands of ``sovereign scan`` write a file: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

__all__ = ["whole"]


def whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` make ``path``: what stood there stands until all of the new one does."""
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
