"""Carries bytes between a loopback port and an engine's Unix socket, and reads none of them.

The engine has no network of its own; this lets one in from the same machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from pathlib import Path

from sovereign.errors import ServeError

__all__ = ["bind", "relay"]

_DOWN = (
    b'{"error":{"message":"the engine is down","type":"server_error","param":null,'
    b'"code":"engine_down"}}'
)
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_DOWN), _DOWN)
)
_CHUNK = 65536


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket bound to a loopback address. Raises :class:`ServeError`.

    Only loopback: there are no keys here. The gateway has them.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ServeError(f"{host} is not an IP address", hint="--host 127.0.0.1") from None
    if not address.is_loopback:
        raise ServeError(
            f"{host} is not a loopback address, and this server asks for no key",
            hint="`sovereign gateway` serves others, with keys, policy and a log",
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(address), port))
        sock.listen(128)
    except OSError as e:
        sock.close()
        if e.errno == errno.EADDRINUSE:
            raise ServeError(
                f"port {port} at {host} is in use", hint="--port 0 takes a free one"
            ) from None
        raise ServeError(f"cannot listen at {host}:{port}: {e.strerror}") from None
    return sock


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()


async def relay(listener: socket.socket, engine: Path) -> asyncio.Server:
    """Serve ``listener`` until the returned server is closed. Either side that ends, ends both."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_unix_connection(str(engine))
            pumps = {
                asyncio.create_task(_pump(reader, upstream)),
                asyncio.create_task(_pump(answers, writer)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
        except OSError:
            writer.write(_ANSWER)
        finally:
            for end in (writer, upstream):
                if end is not None:
                    end.close()

    return await asyncio.start_server(carry, sock=listener)
