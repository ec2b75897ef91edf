"""HTTP/1.1 over TLS, on the loop that the gateway runs on: what a transport hides must not be lost,
nor become the next caller's wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from sovereign.gateway.http1 import Broke, Connections, Origin, head_of

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]
Serve = Callable[[ssl.SSLSocket], None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pki")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=x", "-keyout", str(key), "-out", str(cert)]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@contextlib.contextmanager
def _destination(certificate: tuple[Path, Path], serve: Serve) -> Iterator[Connections]:
    """Each connection is handed to ``serve``, in a thread of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def greet(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as greeted:
            serve(greeted)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=greet, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        origin = Origin.of(f"https://127.0.0.1:{listener.getsockname()[1]}", tls=trust)
        yield Connections(origin, limit=4, keep_s=30.0, connect_s=5.0)
        listener.shutdown(socket.SHUT_RDWR)


@LOOPS
@pytest.mark.parametrize("length", [b"Content-Length: 300000\r\n", b""], ids=["told", "not told"])
@pytest.mark.parametrize("says_so", [True, False])
def test_the_end_of_a_connection_takes_nothing_with_it(
    certificate: tuple[Path, Path], new_loop: Loop, length: bytes, says_so: bool
) -> None:
    """A caller who reads slowly, and a destination that has said all, and closes: what still waits
    in between was dropped, and what came before it taken for the whole."""
    more, closed = threading.Event(), threading.Event()

    def serve(line: ssl.SSLSocket) -> None:
        line.recv(65536)
        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n")
        line.sendall(b"x" * 200_000)
        more.wait(10)
        line.sendall(b"x" * 100_000)
        if says_so:
            line.settimeout(0)
            with contextlib.suppress(ssl.SSLWantReadError):
                line.unwrap()
        line.close()
        closed.set()

    async def run(to: Connections) -> int:
        got = 0
        async with asyncio.timeout(20), to.one() as connection:
            connection.send(head_of("GET", "/", to.origin, {}, 0), b"")
            await connection.head()
            while not connection._paused:
                await asyncio.sleep(0.01)
            more.set()
            while not closed.is_set():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # the loop hears of the end, if it can
            while piece := await connection.readany():
                got += len(piece)
        return got

    with _destination(certificate, serve) as to, asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(run(to)) == 300_000


@LOOPS
def test_a_connection_on_which_a_request_is_stuck_is_not_used_again(
    certificate: tuple[Path, Path], new_loop: Loop
) -> None:
    """It was answered before it was read, and nobody reads the rest of it: whoever came next would
    wait behind that for his whole patience. Its bytes are not the transport's any more, but the
    socket's below it."""
    opened: list[ssl.SSLSocket] = []
    over = threading.Event()

    def serve(line: ssl.SSLSocket) -> None:
        opened.append(line)
        line.recv(1000)
        line.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\nno")
        over.wait(10)

    async def ask(to: Connections, body: bytes) -> int:
        async with asyncio.timeout(5), to.one() as connection:
            connection.send(head_of("POST", "/", to.origin, {}, len(body)), body)
            await connection.head()
            while await connection.readany():
                pass
            return connection.status

    async def run(to: Connections) -> list[int]:
        return [await ask(to, bytes(20_000_000)), await ask(to, b"")]

    with _destination(certificate, serve) as to, asyncio.Runner(loop_factory=new_loop) as runner:
        try:
            assert runner.run(run(to)) == [413, 413]
        finally:
            over.set()
    assert len(opened) == 2


@LOOPS
def test_rubbish_in_the_middle_of_an_answer_is_a_break(
    certificate: tuple[Path, Path], new_loop: Loop
) -> None:
    """As any other: the certificates were taken long ago, and a stream ends in an event."""

    def serve(line: ssl.SSLSocket) -> None:
        line.recv(65536)
        line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        line.recv(1)
        os.write(line.fileno(), b"\x17\x03\x03\x00\x20" + b"z" * 32)
        with contextlib.suppress(OSError):
            line.recv(1)

    async def run(to: Connections) -> bytes:
        async with asyncio.timeout(10), to.one() as connection:
            connection.send(head_of("GET", "/", to.origin, {}, 0), b"")
            await connection.head()
            got = await connection.readany()
            connection._transport.write(b"go on")
            with pytest.raises(Broke):
                await connection.readany()
        return got

    with _destination(certificate, serve) as to, asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(run(to)) == b"half"
