"""The pool is bounded by jobs, also by those whose callers have gone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sovereign.errors import Overloaded
from sovereign.gateway.workers import Workers


def test_callers_who_leave_cannot_pile_up_work() -> None:
    """A cancelled wait does not free the place: the thread is still busy."""
    go = threading.Event()

    async def scene() -> str:
        workers = Workers(2, threads=1)
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
