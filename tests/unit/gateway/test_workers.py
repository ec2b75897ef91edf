"""The pool is bounded by jobs, also by those whose callers have gone."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from sovereign.errors import Overloaded, RecognizerFailed
from sovereign.gateway.workers import Workers


def test_callers_who_leave_cannot_pile_up_work() -> None:
    """A cancelled wait does not free the place: the thread is still busy."""
    go = threading.Event()

    async def scene() -> str:
        workers = Workers(2, 60, threads=1)
        waits = [asyncio.create_task(workers.run(go.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0.02)
        waits[0].cancel()
        await asyncio.sleep(0.02)
        with pytest.raises(Overloaded):
            await workers.run(str)
        go.set()
        await waits[1]
        await asyncio.sleep(0.02)
        done = await workers.run(str.upper, "free again")
        workers.close()
        return done

    assert asyncio.run(scene()) == "FREE AGAIN"


def test_a_job_that_never_ends_is_left_behind_and_costs_no_thread() -> None:
    """As many that hang as there are threads, and the next job still finds one."""
    go = threading.Event()

    async def scene() -> tuple[str, int, int]:
        workers = Workers(8, 0.05, threads=2)
        for _ in range(4):
            with pytest.raises(RecognizerFailed):
                await workers.run(go.wait, 30)
        stuck = workers.stuck
        done = await workers.run(str.upper, "still here")
        go.set()
        while workers.pending:
            await asyncio.sleep(0.01)
        left = workers.stuck
        workers.close()
        return done, stuck, left

    assert asyncio.run(scene()) == ("STILL HERE", 4, 0)


def test_a_job_that_never_got_a_thread_is_not_the_guards_failure() -> None:
    """It was not looked at, so it may come again; and it is never run later on."""
    ran: list[int] = []

    async def scene() -> None:
        workers = Workers(8, 1.0, threads=1)
        busy = [asyncio.create_task(workers.run(time.sleep, 0.6)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await workers.run(ran.append, 1)
        await asyncio.gather(*busy)
        assert await workers.run(str.upper, "next") == "NEXT"
        assert workers.stuck == 0
        workers.close()

    asyncio.run(scene())
    assert ran == []


def test_a_timeout_of_the_jobs_own_stays_its_own() -> None:
    """A tokenizer file that is read over a network may time out: that is not our clock's."""

    def late() -> None:
        raise TimeoutError

    async def scene() -> None:
        workers = Workers(2, 60, threads=1)
        with pytest.raises(TimeoutError):
            await workers.run(late)
        workers.close()

    asyncio.run(scene())
