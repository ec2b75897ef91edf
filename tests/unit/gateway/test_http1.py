"""HTTP/1.1 towards a destination: what is kept, what is dropped, and what is not HTTP at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.gateway import http1
from sovereign.gateway.http1 import (
    Broke,
    Connection,
    Connections,
    NotConnected,
    Origin,
    TooMany,
    head_of,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\none\r\n4;why=not\r\n two\r\n0\r\nTrailer: x\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nall of it"


class Server:
    """Answers each request on a connection with the next of ``says``; ``end`` closes after one."""

    def __init__(self, says: list[list[bytes]], *, end: bool = False) -> None:
        self.says, self.end = says, end
        self.opened = self.asked = self.closed = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                says = self.says[min(self.asked, len(self.says) - 1)]
                self.asked += 1
                for piece in says:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)
                if self.end:
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.closed += 1


@contextlib.asynccontextmanager
async def _connections(
    server: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    limit: int = 8,
    keep_s: float = 30.0,
    connect_s: float = 5.0,
) -> AsyncIterator[Connections]:
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    origin = Origin.of(f"http://127.0.0.1:{port}")
    made = Connections(origin, limit=limit, keep_s=keep_s, connect_s=connect_s)
    try:
        yield made
    finally:
        made.close()
        listening.close()


async def _get(to: Connections, body: bytes = b"") -> tuple[int, bytes]:
    async with asyncio.timeout(10), to.one() as connection:
        connection.send(head_of("GET", "/", to.origin, {}, len(body)), body)
        await connection.head()
        said = b""
        while piece := await connection.readany():
            said += piece
        return connection.status, said


def _many(server: Server, times: int) -> list[tuple[int, bytes]]:
    async def run() -> list[tuple[int, bytes]]:
        async with _connections(server) as to:
            return [await _get(to) for _ in range(times)]

    return asyncio.run(run())


def test_a_connection_is_kept_for_the_next_request() -> None:
    """Whatever the body's end is told by, as long as it is told."""
    server = Server([[OK], [CHUNKED], [b"HTTP/1.1 204 No Content\r\n\r\n"], [OK]])
    assert [body for _, body in _many(server, 4)] == [b"ok", b"one two", b"", b"ok"]
    assert (server.opened, server.asked) == (1, 4)


@pytest.mark.parametrize(
    "last",
    [
        OK.replace(b"200 OK", b"200 OK\r\nConnection: close"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanother's",
        OK + b"x",
    ],
    ids=["it says so", "old", "an answer that nobody asked for", "rubbish"],
)
def test_a_connection_that_cannot_be_trusted_to_go_on_is_not_kept(last: bytes) -> None:
    """What came beside an answer must not become the next caller's."""
    server = Server([[last], [OK]])
    assert _many(server, 2) == [(200, b"ok"), (200, b"ok")]
    assert server.opened == 2


def test_a_connection_that_the_destination_closed_is_not_used_again() -> None:
    """Nobody has to hear of it: a new one is opened."""
    server = Server([[OK]], end=True)

    async def run() -> list[tuple[int, bytes]]:
        async with _connections(server) as to:
            got = [await _get(to)]
            while server.closed == 0:
                await asyncio.sleep(0.001)
            return [*got, await _get(to)]

    assert asyncio.run(run()) == [(200, b"ok")] * 2
    assert server.opened == 2


def test_what_was_said_on_a_kept_connection_is_seen_before_it_is_used() -> None:
    """Even if the loop has had no turn to hear of it: the kernel knows."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def run() -> list[bool]:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, sock=ours)
        seen = [connection.quiet]
        theirs.send(b"x")
        return [*seen, connection.quiet]

    assert asyncio.run(run()) == [True, False]
    theirs.close()


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 408 Too slow\r\nContent-Length: 0\r\n\r\n"])
def test_a_connection_that_is_over_before_it_is_used_says_so(says: bytes) -> None:
    """Nothing would ever come: whoever waited would wait for his whole patience."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, sock=ours)
        theirs.sendall(says)
        theirs.close()
        async with asyncio.timeout(10):
            while connection.quiet or not connection._transport.is_closing():
                await asyncio.sleep(0.001)
            connection.send(b"GET / HTTP/1.1\r\n\r\n", b"")
            with pytest.raises(Broke):
                await connection.head()

    asyncio.run(run())


def test_an_answer_that_was_not_read_to_its_end_drops_the_connection() -> None:
    """The rest of it must not be the beginning of the next."""
    server = Server([[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"abc"], [OK]])

    async def run() -> tuple[int, bytes]:
        async with _connections(server) as to:
            async with to.one() as connection:
                connection.send(head_of("GET", "/", to.origin, {}, 0), b"")
                await connection.head()
            return await _get(to)

    assert asyncio.run(run()) == (200, b"ok")
    assert server.opened == 2


def test_a_whole_answer_that_nobody_read_leaves_no_connection_behind_that_is_not_read() -> None:
    """It came to its end, and so much of it waited that the socket was not read any more."""
    size = http1.HIGH + 1
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    server = Server([[whole], [OK]])

    async def run() -> tuple[int, bytes]:
        async with _connections(server) as to:
            async with to.one() as connection:
                connection.send(head_of("GET", "/", to.origin, {}, 0), b"")
                await connection.head()
                await asyncio.sleep(0.3)  # all of it comes meanwhile
            return await _get(to)

    assert asyncio.run(run()) == (200, b"ok")


def test_connections_that_wait_too_long_are_closed() -> None:
    """The destination sees it, and nobody asks for anything meanwhile."""
    server = Server([[OK]])

    async def run() -> None:
        async with _connections(server, keep_s=0.05) as to:
            await asyncio.gather(_get(to), _get(to))
            async with asyncio.timeout(10):
                while server.closed < server.opened:
                    await asyncio.sleep(0.01)

    asyncio.run(run())
    assert server.opened == server.closed == 2


@pytest.mark.parametrize("body", [CHUNKED, UNTIL_CLOSE, OK])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_an_answer_may_come_in_any_pieces(body: bytes, data: st.DataObject) -> None:
    """Also after others that only say that it will come."""
    whole = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=a\r\n\r\n" + body
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    said = {CHUNKED: b"one two", UNTIL_CLOSE: b"all of it", OK: b"ok"}[body]
    assert _many(Server([pieces], end=True), 1) == [(200, said)]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>no HTTP</html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \r\n\r\n3\r\none\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, x\r\n\r\n3\r\none\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nsomething",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (http1.MAX_SILENT + 300_000),
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 30_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 100_000,
    ],
    ids=[
        *("nothing", "no HTTP", "half", "half a chunk", "no last chunk"),
        *("no last chunk, and a space", "coded as nobody asked", "two lengths", "two ends"),
        *("another protocol", "a header without end", "headers without end", "nothing but hints"),
        "trailers without end",
    ],
)
def test_what_is_not_an_answer_is_none(said: bytes) -> None:
    """And its connection is gone."""
    pieces = [said[n : n + 65536] for n in range(0, len(said), 65536)]
    with pytest.raises(Broke):
        _many(Server([pieces], end=True), 1)


@settings(max_examples=150, deadline=None)
@given(
    whole=st.sampled_from([CHUNKED, UNTIL_CLOSE, OK, OK + OK, b""]),
    at=st.integers(0, 80),
    put=st.binary(max_size=12) | st.sampled_from([b"\r\n", b"\0", b"HTTP/1.1 100 x\r\n\r\n"]),
    cut=st.integers(0, 20),
)
def test_whatever_comes_has_an_end(whole: bytes, at: int, put: bytes, cut: int) -> None:
    """An answer, or none; never a wait, and never another error than the one that is looked for."""
    said = whole[:at] + put + whole[at + cut :]
    with contextlib.suppress(Broke):
        ((status, _),) = _many(Server([[said]], end=True), 1)
        assert 200 <= status <= 999


def test_what_came_before_the_end_is_read_first() -> None:
    """A stream that breaks was one until then."""

    async def run() -> list[bytes]:
        half = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"half"]
        got: list[bytes] = []
        async with _connections(Server([half], end=True)) as to, to.one() as connection:
            connection.send(head_of("GET", "/", to.origin, {}, 0), b"")
            await connection.head()
            await asyncio.sleep(0.1)  # the connection is closed meanwhile
            with pytest.raises(Broke):
                while True:
                    got.append(await connection.readany())
        return got

    assert asyncio.run(run()) == [b"half"]


def test_what_nobody_takes_stays_with_the_destination() -> None:
    """A hundred megabytes are offered, and some hundreds of kilobytes taken; then all of it."""
    sent = 0
    piece, count = b"x" * 100_000, 1000

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
        writer.close()

    async def run() -> tuple[int, int]:
        async with _connections(flood) as to, to.one() as connection:
            connection.send(head_of("GET", "/", to.origin, {}, 0), b"")
            await connection.head()
            before = -1
            while sent != before:  # until it is held back
                before = sent
                await asyncio.sleep(0.2)
            held, got = sent, 0
            while part := await connection.readany():
                got += len(part)
            return held, got

    held, got = asyncio.run(run())
    assert held < 30_000_000  # the kernel's own buffers
    assert got == len(piece) * count


def test_no_more_connections_than_allowed_and_each_waits_its_turn() -> None:
    """Who waits too long is told; who gives up waiting leaves his place to the next."""
    let = asyncio.Event()
    most = now = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                now += 1
                most = max(most, now)
                await let.wait()
                now -= 1
                writer.write(OK)
        writer.close()

    async def run() -> list[object]:
        async with _connections(slow, limit=2, connect_s=0.3) as to:
            first = [asyncio.create_task(_get(to)) for _ in range(2)]
            await asyncio.sleep(0.05)
            late = asyncio.create_task(_get(to))
            gone = asyncio.create_task(_get(to))
            await asyncio.sleep(0.05)
            gone.cancel()
            outcomes: list[object] = [*await asyncio.gather(late, gone, return_exceptions=True)]
            let.set()
            outcomes += await asyncio.gather(*first)
            return outcomes + list(await asyncio.gather(*(_get(to) for _ in range(20))))

    late, gone, *rest = asyncio.run(run())
    assert isinstance(late, TooMany)
    assert isinstance(gone, asyncio.CancelledError)
    assert rest == [(200, b"ok")] * 22
    assert most == 2


def test_nobody_there_is_told_at_once_and_takes_no_place() -> None:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    async def run() -> None:
        to = Connections(Origin.of(url), limit=1, keep_s=1.0, connect_s=5.0)
        for _ in range(3):
            with pytest.raises(NotConnected):
                await _get(to)

    asyncio.run(run())
