"""How long things take, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Bytes"]

FIRST_S = 2.0  # what is done sooner needs no bar
EVERY_S = 5.0  # between plain lines


class Bytes:
    """Called with (what, bytes done, bytes in all); draws from the second second on."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._last = self._begun + FIRST_S - EVERY_S
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._tty = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._begun < FIRST_S:
            return
        if self._tty:
            self._draw(what, done, total)
        elif now - self._last >= EVERY_S:
            self._last = now
            share = 100 * done // max(total, 1)
            print(f"{what}: {share} % of {total / 1e6:.0f} MB", file=sys.stderr, flush=True)

    def _draw(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            # The file is named, because a converter may point sys.stderr elsewhere for a while.
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
                console=Console(file=sys.stderr),
                transient=True,
            )
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done)

    def __enter__(self) -> Bytes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
