"""A worker's process ends when the command does that it works for, however that ended."""

from __future__ import annotations

import multiprocessing
import os
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """From here on this process ends at once when its parent is gone, also if that was killed: what
    goes on with its work must not find somebody at it, and nobody else would end it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
