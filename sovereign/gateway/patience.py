"""Waiting with an end, and without the price of a timer where nothing is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

__all__ = ["within"]


async def within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """``work``, as ``asyncio.timeout(seconds)`` around it would do it. Nearly all writes of a
    stream are done at once: their part of a token's cost was mostly the timer.

    Raises :class:`TimeoutError`.
    """
    try:
        blocked = work.send(None)
    except StopIteration:
        return
    async with asyncio.timeout(seconds):
        await _Rest(work, blocked)


class _Rest:
    """What is left of a coroutine that has begun, and waits for ``blocked``."""

    __slots__ = ("_blocked", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], blocked: Any) -> None:
        self._work = work
        self._blocked = blocked

    def __await__(self) -> Generator[Any, Any, None]:
        blocked = self._blocked
        while True:
            thrown: BaseException | None = None
            try:
                yield blocked
            except BaseException as e:  # noqa: BLE001 - a cancellation too is the work's own
                thrown = e
            try:
                blocked = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration:
                return
