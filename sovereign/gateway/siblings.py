"""What the workers of one gateway tell each other: a folder with one small file for each.

A file holds a worker's numbers and the digests that it goes by; never anything of a request.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["STALE_S", "Siblings"]

STALE_S = 10.0
"""A worker that has written nothing for so long is hung or gone."""


class Siblings:
    """One worker's view of the folder. ``workers`` is how many there are to be."""

    def __init__(self, folder: Path, worker: int, workers: int) -> None:
        self._folder = folder
        self.worker = worker
        self.workers = workers

    def tell(self, said: Mapping[str, Any]) -> None:
        """Replace this worker's own file. What cannot be written is missing from /metrics, and
        /readyz says so."""
        file = self._folder / f"{self.worker}.json"
        temp = file.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            temp.write_text(json.dumps({**said, "pid": os.getpid(), "at": time.time()}))
            temp.replace(file)

    def heard(self) -> dict[int, dict[str, Any]]:
        """What each other worker said last, if that is not stale."""
        found: dict[int, dict[str, Any]] = {}
        for number in range(self.workers):
            if number == self.worker:
                continue
            with contextlib.suppress(OSError, ValueError):
                said = json.loads((self._folder / f"{number}.json").read_text())
                if time.time() - said["at"] < STALE_S:
                    found[number] = said
        return found
