"""A wait with an end that costs nothing where nothing is waited for, and is one in all else."""

from __future__ import annotations

import asyncio

import pytest

from sovereign.gateway.patience import within


def test_what_is_done_at_once_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason why it is there."""
    done = []

    async def work() -> None:
        done.append(1)

    async def go() -> None:
        monkeypatch.setattr(asyncio, "timeout", None)
        await within(1, work())

    asyncio.run(go())
    assert done == [1]


def test_what_waits_is_waited_for_however_often() -> None:
    """A future, a bare yield, another future."""
    seen = []

    async def work() -> None:
        for n in range(3):
            await asyncio.sleep(0.001 * n)
            seen.append(n)

    asyncio.run(within(5, work()))
    assert seen == [0, 1, 2]


def test_what_does_not_end_is_ended() -> None:
    """Inside as a cancellation, so that it can tidy up; outside as a TimeoutError."""
    heard = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            await asyncio.sleep(0)
            raise

    with pytest.raises(TimeoutError):
        asyncio.run(within(0.01, work()))
    assert heard == ["cancelled"]


def test_errors_of_the_work_are_its_own() -> None:
    """At once, or after a while."""

    async def work(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        raise KeyError("x")

    for wait in (False, True):
        with pytest.raises(KeyError):
            asyncio.run(within(1, work(wait)))


def test_a_cancellation_from_outside_stays_one() -> None:
    """A caller that hangs up must not look like one that does not read."""

    async def go() -> str:
        task = asyncio.create_task(within(5, asyncio.Event().wait()))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "not"

    assert asyncio.run(go()) == "cancelled"
