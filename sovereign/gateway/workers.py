"""A bounded pool of threads for work that blocks: the guard's.

Bounded twice: so many threads, and so many jobs that wait or run. One more is told to come back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sovereign.errors import Overloaded

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """``await workers.run(function, …)`` in a thread. A job whose caller has gone still counts
    until it ends, so that callers who hang up cannot pile up work."""

    def __init__(self, limit: int, threads: int | None = None) -> None:
        count = threads or min(8, (os.cpu_count() or 1) + 1)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="guard")
        self._limit = limit
        self._pending = 0

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Raises what ``function`` raises, or :class:`Overloaded`."""
        if self._pending >= self._limit:
            raise Overloaded("the gateway is at its limit of requests", hint="try again shortly")
        loop = asyncio.get_running_loop()
        job = self._threads.submit(function, *args)
        self._pending += 1

        def done(_: Future[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._release)

        job.add_done_callback(done)
        return await asyncio.wrap_future(job, loop=loop)

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    def _release(self) -> None:
        self._pending -= 1

    def close(self) -> None:
        """Let running jobs end; forget those that wait."""
        self._threads.shutdown(wait=False, cancel_futures=True)
