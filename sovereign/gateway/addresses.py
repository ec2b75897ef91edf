"""A connection to a host by whichever of its addresses answers (RFC 8305, "happy eyeballs")."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

__all__ = ["first_of", "reach"]

STAGGER_S = 0.25
"""From one address to the next, if the one before has not answered."""

Address = tuple[Any, Any, int, str, Any]
"""As :func:`socket.getaddrinfo` gives it."""


async def reach(host: str, port: int) -> socket.socket:
    """A connected socket. Raises :class:`OSError`; :class:`UnicodeError` for what is no name."""
    loop = asyncio.get_running_loop()
    line = await first_of(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


async def first_of(addresses: Sequence[Address]) -> socket.socket:
    """A connection to whichever of a host's addresses answers first, each getting a head start on
    the next; families by turns. Raises :class:`OSError`."""
    left = deque(_by_turns(addresses))
    trying: set[asyncio.Task[socket.socket]] = set()
    failed: list[BaseException] = []
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_connected(left.popleft())))
            done, trying = await asyncio.wait(
                trying,
                timeout=STAGGER_S if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            won = [task.result() for task in done if task.exception() is None]
            for late in won[1:]:
                late.close()
            if won:
                return won[0]
            failed += [e for task in done if (e := task.exception()) is not None]
        raise failed[0]
    finally:
        for task in trying:
            task.add_done_callback(_close_late)
            task.cancel()


def _by_turns(addresses: Sequence[Address]) -> list[Address]:
    """One of the first one's family, one of another, and so on."""
    first = addresses[0][0]
    own = [a for a in addresses if a[0] == first]
    others = [a for a in addresses if a[0] != first]
    return [a for pair in zip_longest(own, others) for a in pair if a is not None]


async def _connected(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    line = socket.socket(family, kind, protocol)
    try:
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, where)
    except BaseException:
        line.close()
        raise
    return line


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
