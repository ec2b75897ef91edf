"""An answer's bytes, with one timer for all of them; and what comes before a request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from sovereign.errors import LogUnavailable, UpstreamFailed
from sovereign.gateway.http1 import Connection
from sovereign.gateway.pool import Attempts, Body, Pool
from sovereign.gateway.upstreams import Upstream
from sovereign.types import Destination


class _Connection:
    """Bytes that come when the test says so, as a connection's do."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def head(self) -> None: ...

    async def readany(self) -> bytes:
        got = await self._came.get()
        if isinstance(got, Exception):
            raise got
        return got

    def feed(self, data: bytes) -> None:
        self._came.put_nowait(data)

    def fail(self, error: Exception) -> None:
        self._came.put_nowait(error)


async def _body(connection: _Connection, *, idle_s: float, total_s: float) -> Body:
    body = Body(cast("Connection", connection), first_s=idle_s, total_s=total_s)
    await body.begun(idle_s)
    return body


def test_an_answer_that_trickles_goes_on_and_one_that_stops_does_not() -> None:
    """The silence counts from the last read on, not from when the timer was set; the time that the
    caller takes between two reads is no silence of the destination."""

    async def read() -> list[bytes]:
        loop = asyncio.get_running_loop()
        connection = _Connection()
        body = await _body(connection, idle_s=0.4, total_s=60.0)
        got = []
        for number in range(4):
            loop.call_later(0.15, connection.feed, b"%d" % number)
            got.append(await body.readany())
        await asyncio.sleep(0.6)
        loop.call_later(0.05, connection.feed, b"late")
        got.append(await body.readany())
        with pytest.raises(TimeoutError):
            await body.readany()
        body.close()
        return got

    assert asyncio.run(read()) == [b"0", b"1", b"2", b"3", b"late"]


def test_a_body_that_is_let_go_leaves_no_timer() -> None:
    """A stream's end would else be remembered for ten minutes."""

    async def read() -> bool:
        body = await _body(_Connection(), idle_s=60.0, total_s=600.0)
        body.close()
        return body._timer.cancelled()

    assert asyncio.run(read())


def test_an_answer_that_goes_on_for_too_long_is_cut_although_it_is_never_silent() -> None:
    """timeout_s is for all of it: a destination that sends a word now and then has an end, too."""

    async def read() -> int:
        loop = asyncio.get_running_loop()
        connection = _Connection()
        body = await _body(connection, idle_s=60.0, total_s=0.5)
        for number in range(40):
            loop.call_later(0.1 * number, connection.feed, b"on")
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


async def _asked(url: str, limits: Mapping[str, float]) -> str:
    """What a request comes to."""
    pool = Pool()
    upstream = Upstream(Destination("d", "local"), "openai", url, ("m",), timeout_s=5.0)

    async def nothing() -> None: ...

    try:
        within = replace(upstream, **cast("dict[str, Any]", limits))
        async with pool.post(within, url, b"{}", {}, first=nothing) as answer:
            return b"".join([piece async for piece in answer.body.iter_any()]).decode()
    except UpstreamFailed as e:
        return f"{e.status} {e.hint or e.message}"
    finally:
        await pool.close()


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"first_byte_s": 0.1}, "504 first_byte_s of"),
        ({"timeout_s": 0.1}, "504 timeout_s and"),
        ({"idle_s": 0.1, "first_byte_s": 5.0}, "504 timeout_s and idle_s"),
    ],
    ids=["no head", "all of it", "no more"],
)
def test_a_silence_is_named_by_the_setting_that_ended_it(
    limits: dict[str, float], says: str
) -> None:
    """And a shorter one than the one before it begins to count with the head."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        if "idle_s" in limits:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha")
        await reader.read()
        writer.close()

    async def run() -> str:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(4):
            got = await _asked(url, limits)
        server.close()
        return got

    assert asyncio.run(run()).startswith(says)


def test_an_answer_in_an_encoding_that_nobody_asked_for_is_refused() -> None:
    """It could not be restored, and would be passed on as something else than it is."""

    async def packed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx")
        writer.close()

    async def run() -> str:
        server = await asyncio.start_server(packed, "127.0.0.1", 0)
        got = await _asked(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {})
        server.close()
        return got

    assert "compress" in asyncio.run(run())
