"""Coroutines that wait for the log: each is woken, whatever thread resolves its record and when."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from sovereign.audit.awaiting import _Door, durable
from sovereign.errors import LogUnavailable
from sovereign.types import JSON, Receipt


class Threads:
    """A sink that resolves each record in a thread of its own, or fails it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.taken: list[Future[Receipt]] = []

    def submit(self, record: Mapping[str, JSON]) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        self.taken.append(future)

        def resolve() -> None:
            if self.fails:
                future.set_exception(LogUnavailable("audit log: gone"))
            else:
                future.set_result(Receipt(int(record["n"]), bytes(32)))

        threading.Thread(target=resolve).start()
        return future


def test_who_is_resolved_while_the_loop_looks_is_woken_too() -> None:
    """The loop empties the door in the very moment between a look at it and what is put in. A ring
    that depended on that look was not rung, and a request hung until the next one came."""

    async def run() -> None:
        rings: list[Callable[[], None]] = []

        class Loop:
            """Runs what it was rung for when the test says so."""

            def call_soon_threadsafe(self, ring: Callable[[], None]) -> None:
                rings.append(ring)

        class Looked(deque[Any]):
            def append(self, woken: Any) -> None:
                while rings:
                    rings.pop()()
                super().append(woken)

        loop: Any = Loop()
        door, one, two = _Door(), asyncio.Future[None](), asyncio.Future[None]()
        door.wake(loop, one)
        door._done = Looked(door._done)
        door.wake(loop, two)
        assert one.done()
        assert not two.done()
        assert rings
        rings.pop()()
        assert two.done()

    asyncio.run(run())


def test_each_of_many_gets_its_own_receipt() -> None:
    """From a hundred threads at once."""

    async def run() -> list[Receipt]:
        sink = Threads()
        return await asyncio.gather(*(durable(sink, {"n": n}) for n in range(100)))

    assert [receipt.index for receipt in asyncio.run(run())] == list(range(100))


def test_a_log_that_fails_says_so_to_who_waits() -> None:
    """It must never look like a record."""
    with pytest.raises(LogUnavailable):
        asyncio.run(durable(Threads(fails=True), {"n": 1}))


def test_who_is_cancelled_has_not_cancelled_the_record() -> None:
    """It may be in the log already."""

    async def run() -> Future[Receipt]:
        held: Future[Receipt] = Future()

        class Slow:
            def submit(self, _: Mapping[str, JSON]) -> Future[Receipt]:
                return held

        waiting = asyncio.create_task(durable(Slow(), {"n": 1}))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.set_result(Receipt(1, bytes(32)))  # nobody waits, and nothing breaks
        await asyncio.sleep(0)
        return held

    assert asyncio.run(run()).result().index == 1
