"""An event loop that takes the log's acknowledgements itself, and whoever else waits meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import uvloop
from sequenced import begin, intent, kill, some, stored, wait_until

from sovereign.audit.awaiting import durable, landed, later, soon
from sovereign.audit.client import Client
from sovereign.audit.starting import Starter
from sovereign.audit.verify import verify
from sovereign.types import Receipt

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@LOOPS
def test_a_loop_that_waits_hears_by_itself(
    starter: Starter, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Futures are resolved in the loop's own thread, which nothing had to wake; but for one now and
    then, when the log's thread looks whether the loop still comes."""
    heard: Counter[int] = Counter()

    async def run(log: Client) -> list[Receipt]:
        receipts = []
        for n in range(50):
            submitted = soon(log, some(n))
            submitted.add_done_callback(lambda _: heard.update([threading.get_ident()]))
            receipts.append(await landed(submitted))
        return receipts

    with begin(starter) as log, asyncio.Runner(loop_factory=new_loop) as runner:
        receipts = runner.run(run(log))
    assert heard[threading.get_ident()] > 25
    records = stored(starter)
    assert [records[r.index]["request"] for r in receipts] == [f"r{n}" for n in range(50)]
    assert verify(starter.folder).ok


@LOOPS
def test_a_sequencer_that_dies_under_a_loop_is_replaced(
    starter: Starter, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Nothing is lost or doubled, the next one is heard by the loop again, and no descriptor of the
    dead one is left."""

    async def run(log: Client) -> list[Receipt]:
        receipts = list(await asyncio.gather(*(durable(log, intent(n)) for n in range(40))))
        before = descriptors()
        for n in range(40, 120, 20):
            kill(starter)
            more = range(n, n + 10)
            receipts += await asyncio.gather(*(durable(log, intent(n)) for n in more))
            heard: set[int] = set()
            for later_on in range(n + 10, n + 20):
                submitted = soon(log, intent(later_on))
                submitted.add_done_callback(lambda _, h=heard: h.add(threading.get_ident()))
                receipts.append(await landed(submitted))
            assert threading.get_ident() in heard, "the loop listens to the new one, too"
        # The thread that reached the new one may be about to end.
        await asyncio.to_thread(wait_until, lambda: descriptors() <= before + 1)
        return receipts

    with begin(starter) as log, asyncio.Runner(loop_factory=new_loop) as runner:
        receipts = runner.run(run(log))
    records = stored(starter)
    assert [records[r.index]["request"] for r in receipts] == [f"i{n}" for n in range(120)]
    assert sum(r["type"] == "request.intent" for r in records) == 120
    assert verify(starter.folder).ok


def test_a_loop_that_sleeps_holds_nobody_up(starter: Starter) -> None:
    """It was lent the ear, and then does something long: another thread's record is acknowledged
    meanwhile, and so is one that the loop itself waits for, asleep."""
    done: list[Receipt] = []

    async def run(log: Client) -> None:
        await durable(log, some(1))
        other = threading.Thread(target=lambda: done.append(log.submit(some(2)).result(30)))
        other.start()
        other.join(30)  # the loop stands still
        done.append(log.submit(some(3)).result(30))
        done.append(log.append(some(4)))
        done.append(await durable(log, some(5)))

    with begin(starter) as log:
        asyncio.run(run(log))
    assert [stored(starter)[r.index]["request"] for r in done] == ["r2", "r3", "r4", "r5"]


def test_a_loop_that_ended_is_not_waited_for(starter: Starter) -> None:
    """The next one takes over, and so does whoever has none; what the old ones had is closed."""
    with begin(starter) as log:
        asyncio.run(durable(log, some(0)))
        before = descriptors()
        for n in range(1, 10):
            assert asyncio.run(durable(log, some(n))).index > 0
        assert log.submit(some(10)).result(30).index > 0
        wait_until(lambda: descriptors() <= before + 1)
    assert len([r for r in stored(starter) if r["type"] == "request.result"]) == 11


def test_two_loops_share_one_log(starter: Starter) -> None:
    """One of them hears for both."""

    def work(log: Client, first: int) -> None:
        async def run() -> None:
            for n in range(first, first + 50):
                await durable(log, some(n))

        asyncio.run(run())

    with begin(starter) as log:
        threads = [threading.Thread(target=work, args=(log, i * 50)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = [r["request"] for r in stored(starter) if r["type"] == "request.result"]
    assert sorted(found) == sorted(f"r{n}" for n in range(200))


def test_closing_inside_the_loop_waits_for_what_is_under_way(starter: Starter) -> None:
    """The loop cannot hear while it waits in there, so somebody else does."""

    async def run() -> list[Future[Receipt]]:
        log = begin(starter)
        await durable(log, some(0))
        under_way = [soon(log, some(n)) for n in range(1, 30)]
        await asyncio.sleep(0)
        log.close()
        return under_way

    assert all(future.done() for future in asyncio.run(run()))
    assert verify(starter.folder).ok


def test_a_loop_that_does_not_come_has_lost_the_ear(starter: Starter) -> None:
    """Within a tick, and is told so when it does."""
    with begin(starter, announce=False) as log:
        ear = log.lend()
        assert ear is not None
        try:
            for n in range(2):  # the thread was just listening itself when it was lent
                assert log.submit(some(n)).result(30).index > 0
            assert not log.hear(ear)
        finally:
            os.close(ear.descriptor)


def test_what_nobody_waits_for_goes_with_what_somebody_does(starter: Starter) -> None:
    """And by itself, if nothing comes; and if the loop ends before."""

    async def together(log: Client) -> tuple[Receipt, Receipt]:
        unhurried = later(log, some(1))
        return await durable(log, some(2)), unhurried.result(0)

    async def alone(log: Client) -> Receipt:
        return await landed(later(log, some(3)))

    async def left(log: Client) -> Future[Receipt]:
        return later(log, some(4))

    with begin(starter) as log:
        second, first = asyncio.run(together(log))
        assert second.index == first.index + 1
        assert asyncio.run(alone(log)).index > second.index
        assert asyncio.run(left(log)).result(30).index > second.index


def test_without_a_descriptor_the_thread_goes_on_listening(starter: Starter) -> None:
    """A gateway at its limit of open files still gets its answers, and refuses nobody for it."""

    async def run(log: Client) -> Receipt:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        try:
            assert log.lend() is None
            return await durable(log, intent(1))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with begin(starter) as log:
        assert asyncio.run(run(log)).index > 0
