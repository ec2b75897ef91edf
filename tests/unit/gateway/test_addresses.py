"""Which of a host's addresses is taken, and how long those that are deaf hold it up."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from sovereign.gateway import addresses


def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second() -> None:
    """The next one is tried beside it; one that refuses is followed at once."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as deaf,
        socket.create_server(("127.0.0.1", 0)) as good,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(4):  # its queue is full: whoever comes now gets no answer
            line = stack.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(deaf.getsockname())
        with socket.create_server(("127.0.0.1", 0)) as free:
            nobody = free.getsockname()
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")

        async def reached(*where: tuple[str, int]) -> object:
            async with asyncio.timeout(10):
                line = await addresses.first_of([(*kind, a) for a in where])
            with line:
                return line.getpeername()

        assert asyncio.run(reached(deaf.getsockname(), good.getsockname())) == good.getsockname()
        assert asyncio.run(reached(nobody, good.getsockname())) == good.getsockname()
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(reached(nobody, nobody))


def test_families_take_turns() -> None:
    """A host whose every IPv6 address is deaf is reached at the second try."""
    six = [(socket.AF_INET6, 0, 0, "", n) for n in range(3)]
    four = [(socket.AF_INET, 0, 0, "", n) for n in range(2)]
    order = addresses._by_turns([*six, *four])
    assert order == [six[0], four[0], six[1], four[1], six[2]]
