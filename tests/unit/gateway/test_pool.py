"""An answer's bytes, with one timer for all of them; and what comes before a request."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import aiohttp
import pytest

from sovereign.errors import LogUnavailable, UpstreamFailed
from sovereign.gateway.pool import Attempts, Body, Pool
from sovereign.gateway.upstreams import Upstream
from sovereign.types import Destination


def test_an_answer_that_trickles_goes_on_and_one_that_stops_does_not() -> None:
    """The silence counts from the last read on, not from when the timer was set; the time that the
    caller takes between two reads is no silence of the destination."""

    async def read() -> list[bytes]:
        loop = asyncio.get_running_loop()
        reader = aiohttp.StreamReader(Mock(_reading_paused=False), 2**16, loop=loop)
        body = Body(reader, 0.4, 60.0)
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
        body = Body(reader, 60.0, 600.0)
        body.close()
        return body._timer.cancelled()

    assert asyncio.run(read())


def test_an_answer_that_goes_on_for_too_long_is_cut_although_it_is_never_silent() -> None:
    """timeout_s is for all of it: a destination that sends a word now and then has an end, too."""

    async def read() -> int:
        loop = asyncio.get_running_loop()
        reader = aiohttp.StreamReader(Mock(_reading_paused=False), 2**16, loop=loop)
        body = Body(reader, 60.0, 0.5)
        for number in range(40):
            loop.call_later(0.1 * number, reader.feed_data, b"on")
        got = 0
        with pytest.raises(TimeoutError):
            while await body.readany():
                got += 1
        return got

    assert 2 <= asyncio.run(read()) < 40


class _Destination:
    """Answers once, and notes whether anybody has come."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()


async def _sent(first: asyncio.Future[None]) -> tuple[bool, bytes | Exception, int]:
    """Whether the destination saw anything before ``first``, what came of it, and the tries."""
    seen, pool, attempts = _Destination(), Pool(), Attempts()
    server = await asyncio.start_server(seen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    upstream = Upstream(Destination("d", "local"), "openai", url, ("m",), timeout_s=5.0)

    async def post() -> bytes:
        async with pool.post(upstream, url, b"{}", {}, attempts, first=lambda: first) as answer:
            return await answer.body.readany()

    posting = asyncio.create_task(post())
    await asyncio.sleep(0.2)
    early = seen.came.is_set()
    if not first.done():
        first.set_result(None)
    try:
        got: bytes | Exception = await posting
    except (LogUnavailable, UpstreamFailed) as e:
        got = e
    await pool.close()
    server.close()
    return early, got, attempts.count


def test_nothing_is_seen_outside_before_what_has_to_come_first() -> None:
    """The request is made ready while its record is on its way to the disk. Not even a connection
    is opened before that is there."""

    async def run() -> tuple[bool, bytes | Exception, int]:
        return await _sent(asyncio.get_running_loop().create_future())

    assert asyncio.run(run()) == (False, b"{}", 1)


def test_nothing_is_sent_if_what_has_to_come_first_fails() -> None:
    """No record, no egress: what the log says is said, and no try is counted."""

    async def run() -> tuple[bool, bytes | Exception, int]:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(LogUnavailable("no disk"))
        return await _sent(failed)

    early, got, tries = asyncio.run(run())
    assert isinstance(got, LogUnavailable)
    assert (early, tries) == (False, 0)
