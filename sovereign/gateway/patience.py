"""Waiting with an end, and without the price of a timer where nothing is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["within"]

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """``work``, as ``asyncio.timeout(seconds)`` around it would do it. Nearly all writes of a
    stream are done at once, and most bodies are there with their head: their part of the cost was
    mostly the timer.

    Raises :class:`TimeoutError`.
    """
    try:
        blocked = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    async with asyncio.timeout(seconds):
        return await _Rest(work, blocked)
    raise AssertionError("unreachable")


class _Rest(Generic[T]):
    """What is left of a coroutine that has begun, and waits for ``blocked``."""

    __slots__ = ("_blocked", "_work")

    def __init__(self, work: Coroutine[Any, Any, T], blocked: Any) -> None:
        self._work = work
        self._blocked = blocked

    def __await__(self) -> Generator[Any, Any, T]:
        blocked = self._blocked
        while True:
            thrown: BaseException | None = None
            try:
                yield blocked
            except BaseException as e:  # noqa: BLE001 - a cancellation too is the work's own
                thrown = e
            try:
                blocked = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
