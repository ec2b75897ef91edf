"""A bounded pool of threads for work that blocks: the guard's.

Bounded three times: so many threads, so many jobs that wait or run (one more is told to come back),
and so long for each. A thread cannot be stopped from outside, so a job that passes its time is left
behind, and another thread takes its place; what it may still come to is thrown away.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sovereign.errors import Overloaded, RecognizerFailed

__all__ = ["Workers"]

T = TypeVar("T")


class _Job:
    __slots__ = ("arguments", "began", "function", "future", "late")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.future: Future[Any] = Future()
        self.began: float | None = None
        self.late = threading.Event()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        self.began = time.monotonic()
        try:
            result = self.function(*self.arguments)
        except BaseException as e:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
            self.future.set_exception(e)
        else:
            self.future.set_result(result)


class Workers:
    """``await workers.run(function, …)`` in a thread. A job whose caller has gone still counts
    until it ends, so that callers who hang up cannot pile up work."""

    def __init__(self, limit: int, seconds: float, threads: int | None = None) -> None:
        """``seconds``: how long a job may wait, and how long it may run then."""
        self._limit, self._seconds = limit, seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._count = threads or min(8, (os.cpu_count() or 1) + 1)
        self._pending = 0
        self._stuck = 0
        for _ in range(self._count):
            self._hire()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Raises what ``function`` raises; :class:`Overloaded` if there is no room for it, or no
        thread was free in its time; and :class:`RecognizerFailed` if it ran, and did not end."""
        if self._pending >= self._limit:
            raise Overloaded("the gateway is at its limit of requests", hint="try again shortly")
        loop = asyncio.get_running_loop()
        job = _Job(function, args)
        self._pending += 1

        def done(_: Future[Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._release, job)

        job.future.add_done_callback(done)
        self._jobs.put(job)
        answer: asyncio.Future[T] = asyncio.wrap_future(job.future, loop=loop)
        left = self._seconds
        try:
            while left > 0:
                await asyncio.wait((answer,), timeout=left)
                if answer.done():
                    return answer.result()
                if job.began is None and job.future.cancel():
                    raise Overloaded("the guard was busy for too long", hint="try again")
                left = (job.began or time.monotonic()) + self._seconds - time.monotonic()
        finally:
            # Of what nobody waits for any more nothing is said, either: it may hold a text.
            answer.cancel()
        job.late.set()
        self._stuck += 1
        self._hire()
        raise RecognizerFailed(
            f"the guard did not come to an end within {self._seconds:g} s",
            hint="[guard] deadline_s and [documents] seconds in sovereign.toml",
        )

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    @property
    def stuck(self) -> int:
        """Jobs that passed their time and have not ended yet. Each holds a thread."""
        return self._stuck

    def _hire(self) -> None:
        # Daemons: one that never comes back must not keep the process from ending.
        threading.Thread(target=self._work, name="guard", daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            late = job.late.is_set()
            del job  # it holds a request
            if late:
                return  # another took this one's place

    def _release(self, job: _Job) -> None:
        self._pending -= 1
        self._stuck -= job.late.is_set()

    def close(self) -> None:
        """Let running jobs end; forget those that wait."""
        while True:
            try:
                waiting = self._jobs.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting.future.cancel()
        for _ in range(self._count):
            self._jobs.put(None)
