"""Waiting for the log from a coroutine.

An event loop that gives records to the log also takes the acknowledgements from its socket, as long
as no other loop does: then nobody has to wake it. Otherwise the log resolves futures in a thread of
its own, many at a time, and each loop is woken once for all of them, not once for each.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final
from weakref import WeakKeyDictionary, finalize

from sovereign.audit.client import Client
from sovereign.audit.ears import Ear
from sovereign.types import JSON, Receipt, Sink

__all__ = ["durable", "landed", "later", "soon"]

LATER_S = 0.01
"""How long what nobody waits for may wait for company."""


async def durable(sink: Sink, record: Mapping[str, JSON]) -> Receipt:
    """Append ``record``, and wait until it is durable. Raises as ``sink`` does. Who is cancelled
    while waiting has not cancelled the record."""
    return await landed(soon(sink, record))


async def landed(submitted: Future[Receipt]) -> Receipt:
    """Wait for what :func:`soon` gave."""
    if not submitted.done():
        loop = asyncio.get_running_loop()
        door = _door(loop)
        woken: asyncio.Future[None] = loop.create_future()
        submitted.add_done_callback(lambda _: door.wake(loop, woken))
        await woken
    return submitted.result()


def soon(sink: Sink, record: Mapping[str, JSON]) -> Future[Receipt]:
    """Submit ``record`` from a coroutine that does not wait for it now. It is on its way in the
    loop's next turn."""
    loop = asyncio.get_running_loop()
    door = _door(loop)
    submitted = door.queue(loop, sink, record)
    door.flush_soon(loop)
    return submitted


def later(sink: Sink, record: Mapping[str, JSON]) -> Future[Receipt]:
    """As :func:`soon`, for a record that nobody waits for: it goes with the next that somebody
    does, and sooner or later by itself. A send for itself would wake the sequencer for nothing."""
    loop = asyncio.get_running_loop()
    door = _door(loop)
    submitted = door.queue(loop, sink, record)
    door.flush_later(loop)
    return submitted


def _door(loop: asyncio.AbstractEventLoop) -> _Door:
    door = _DOORS.get(loop)
    if door is None:
        with _MAKING:
            door = _DOORS.setdefault(loop, _Door())
    return door


class _Door:
    """Between one loop and the log's thread, both ways."""

    def __init__(self) -> None:
        self._done: deque[asyncio.Future[None]] = deque()
        self._rung = False
        self._queued: set[Client] = set()
        self._soon = False
        self._later: asyncio.TimerHandle | None = None
        self._hearing: int | None = None

    def queue(
        self, loop: asyncio.AbstractEventLoop, sink: Sink, record: Mapping[str, JSON]
    ) -> Future[Receipt]:
        """Put ``record`` to what waits to be sent, and see to it that somebody hears the answer."""
        if not isinstance(sink, Client):
            return sink.submit(record)
        submitted = sink.queue(record)
        self._queued.add(sink)
        ear = sink.lend()
        if ear is not None:
            # Closed with the loop, if that ends first.
            close = finalize(loop, os.close, ear.descriptor)
            loop.add_reader(ear.descriptor, self._hear, sink, ear, close)
        return submitted

    def _hear(self, client: Client, ear: Ear, close: Callable[[], object]) -> None:
        self._hearing = threading.get_ident()
        try:
            mine = client.hear(ear)
        finally:
            self._hearing = None
        if not mine:
            asyncio.get_running_loop().remove_reader(ear.descriptor)
            close()

    def flush_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Coroutines that run in one turn of the loop share one send to the sequencer."""
        if self._queued and not self._soon:
            self._soon = True
            loop.call_soon(self._flush)

    def flush_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._queued and self._later is None and not self._soon:
            self._later = loop.call_later(LATER_S, self._flush)

    def _flush(self) -> None:
        self._soon = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        while self._queued:
            self._queued.pop().flush()

    def wake(self, loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
        if self._hearing == threading.get_ident():  # the loop itself has just heard of it
            _set(woken)
            return
        # First it is put in, then asked whether the loop comes anyway; and the loop takes the ring
        # back before it takes out. So a ring may be one too many, and none can be missing.
        self._done.append(woken)
        if not self._rung:
            self._rung = True
            try:
                loop.call_soon_threadsafe(self._open)
            except RuntimeError:
                return  # the loop is closed, and with it everybody who waited in it

    def _open(self) -> None:
        self._rung = False
        while self._done:
            _set(self._done.popleft())


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():  # cancelled
        woken.set_result(None)


_DOORS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Door]] = WeakKeyDictionary()
_MAKING = threading.Lock()
