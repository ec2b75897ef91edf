"""What goes to the caller's socket, and in how many pieces."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from sovereign.gateway import listener
from sovereign.gateway.listener import _Protocol


class Transport(asyncio.Transport):
    """Keeps each write for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def answer(request: bytes, pieces: list[bytes], headers: list[tuple[bytes, bytes]]) -> Transport:
    """What an application that answers in ``pieces`` has written to the caller who sent
    ``request``; without any, it dies after the head."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for n, piece in enumerate(pieces, 1):
            more = n < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})
        if not pieces:
            raise RuntimeError("it broke")

    async def run() -> Transport:
        config = uvicorn.Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None)
        config.load()
        transport = Transport()
        protocol = _Protocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)
        protocol.data_received(request)
        for task in list(protocol.tasks):
            await task
        protocol.connection_lost(None)
        return transport

    return asyncio.run(run())


GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def test_the_head_goes_out_with_the_first_piece() -> None:
    """One call of the kernel for most answers; later pieces of a stream do not wait."""
    whole = answer(GET, [b"body"], [(b"content-length", b"4")])
    assert len(whole.written) == 1
    assert whole.written[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole.written[0].endswith(b"\r\n\r\nbody")
    streamed = answer(GET, [b"one", b"two", b""], [])
    assert [w[-12:] for w in streamed.written[1:]] == [b"3\r\ntwo\r\n", b"0\r\n\r\n"]
    assert streamed.written[0].endswith(b"\r\n\r\n3\r\none\r\n")


@pytest.mark.parametrize(
    ("request_", "pieces", "headers"),
    [
        (GET, [b""], [(b"content-length", b"0")]),
        (b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", [b"body"], [(b"content-length", b"4")]),
        (GET, [], [(b"content-length", b"4")]),
        (GET, [b"", b"x"], []),
    ],
    ids=["no body", "HEAD", "dies after the head", "an empty first piece"],
)
def test_no_head_is_kept_back(
    request_: bytes, pieces: list[bytes], headers: list[tuple[bytes, bytes]]
) -> None:
    """Whatever follows it, or does not."""
    done = answer(request_, pieces, headers)
    assert done.written[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" in done.written[0]


def test_a_caller_who_asks_whether_to_go_on_is_told_at_once() -> None:
    """His body, and with it our answer, waits for that."""
    asks = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi"
    done = answer(asks, [b"body"], [(b"content-length", b"4")])
    assert done.written[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert done.written[1].startswith(b"HTTP/1.1 200 OK")
    assert done.written[1].endswith(b"body")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("apart", [False, True])
def test_what_follows_the_wish_for_another_protocol_is_no_request(
    protocol: bytes, apart: bool
) -> None:
    """Its parser leaves the body unread. In a piece of its own it was the next request, which
    whoever stands before the gateway has never seen."""
    body = b"GET /inner HTTP/1.1\r\nhost: a\r\n\r\n"
    head = b"POST /outer HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: " + protocol
    head += b"\r\ncontent-length: %d\r\n\r\n" % len(body)
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> Transport:
        config = uvicorn.Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None)
        config.load()
        transport = Transport()
        line = _Protocol(config=config, server_state=ServerState(), app_state={})
        line.connection_made(transport)
        for piece in (head, body) if apart else (head + body,):
            if not transport.closed:
                line.data_received(piece)
            while line.tasks:
                await asyncio.gather(*line.tasks)
        line.connection_lost(None)
        return transport

    done = asyncio.run(run())
    assert asked == ["/outer"]
    assert b"connection: close" in done.written[0]
    assert done.closed


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (GET, b"\r\n"),
        (GET + b"GET", b" "),
    ],
    ids=["a body that nobody reads", "in chunks", "empty lines", "half a head behind an answer"],
)
def test_a_connection_on_which_nothing_begins_is_not_kept_open(
    monkeypatch: pytest.MonkeyPatch, begins: bytes, goes_on: bytes
) -> None:
    """A byte now and then stopped the clock that a silent one is closed by, for a caller without a
    key, too, and nothing set another."""
    monkeypatch.setattr(listener, "HEAD_S", 0.1)
    connections: list[_Protocol] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)  # longer than a head may take
        head = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 401, "headers": head})
        await send({"type": "http.response.body", "body": b"no"})

    def accepted() -> _Protocol:
        connections.append(_Protocol(config=config, server_state=ServerState(), app_state={}))
        return connections[-1]

    async def run() -> bytes:
        server = await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(begins)
        await reader.readuntil(b"\r\n\r\nno")
        writer.write(goes_on)
        async with asyncio.timeout(10):
            while connections[0].timeout_keep_alive_task is not None:
                await asyncio.sleep(0.01)
            connections[0].sweep(0.0)
            rest = await reader.read()
        writer.close()
        server.close()
        return rest

    config = uvicorn.Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    assert asyncio.run(run()) == b""


async def _serve(app: Any) -> asyncio.Server:
    config = uvicorn.Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    return await asyncio.get_running_loop().create_server(
        lambda: _Protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )


@pytest.mark.parametrize("piece", [b"a" * 65536, b"a: b\r\n" * 10_000], ids=["one", "many"])
def test_a_head_without_end_is_not_taken_in(piece: bytes) -> None:
    """All of it is kept until it is whole, and nobody knows yet who sends it."""
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])

    async def run() -> None:
        server = await _serve(app)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
        with pytest.raises(ConnectionError):
            for _ in range(400):
                writer.write(piece)
                await writer.drain()
        writer.close()
        server.close()

    asyncio.run(run())
    assert asked == []


@pytest.mark.parametrize("many", [listener.MAX_QUEUED // 2, 20_000])
def test_requests_that_wait_on_one_connection_are_few(many: int) -> None:
    """Each is small where it is sent, and large where it waits: few are answered, one by one, and
    of many not even the first."""
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await asyncio.sleep(0.1 if len(asked) == 1 else 0)
        head = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 401, "headers": head})
        await send({"type": "http.response.body", "body": b"no"})

    async def run() -> bytes:
        server = await _serve(app)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        last = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        writer.write(GET * (many - 1) + last)
        got = b""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                got = await reader.read()
        writer.close()
        server.close()
        return got

    answered = asyncio.run(run()).count(b"HTTP/1.1 401")
    assert (answered, len(asked)) == ((many, many) if many <= listener.MAX_QUEUED else (0, 1))
