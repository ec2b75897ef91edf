"""An answer's bytes, with one timer for all of them."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import aiohttp
import pytest

from sovereign.gateway.pool import Body


def test_an_answer_that_trickles_goes_on_and_one_that_stops_does_not() -> None:
    """The silence counts from the last read on, not from when the timer was set; the time that the
    caller takes between two reads is no silence of the destination."""

    async def read() -> list[bytes]:
        loop = asyncio.get_running_loop()
        reader = aiohttp.StreamReader(Mock(_reading_paused=False), 2**16, loop=loop)
        body = Body(reader, 0.4)
        got = []
        for number in range(4):
            loop.call_later(0.15, reader.feed_data, b"%d" % number)
            got.append(await body.readany())
        await asyncio.sleep(0.6)
        loop.call_later(0.05, reader.feed_data, b"late")
        got.append(await body.readany())
        with pytest.raises(TimeoutError):
            await body.readany()
        body.close()
        return got

    assert asyncio.run(read()) == [b"0", b"1", b"2", b"3", b"late"]


def test_a_body_that_is_let_go_leaves_no_timer() -> None:
    """A stream's end would else be remembered for ten minutes."""

    async def read() -> bool:
        reader = aiohttp.StreamReader(Mock(), 2**16, loop=asyncio.get_running_loop())
        body = Body(reader, 60.0)
        body.close()
        return body._timer.cancelled()

    assert asyncio.run(read())
