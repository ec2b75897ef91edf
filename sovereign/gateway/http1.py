"""HTTP/1.1 towards one destination: connections that are kept, with one request at a time on each.

No redirects, cookies, proxies from the environment, or decoding of what was not asked for: a client
that can do these may do them, and to be able to costs each request a sixth of its time
(docs/decisions/0014). The parser is llhttp's, in its strict mode, as on the other side of the door.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httptools

from sovereign.gateway import addresses

__all__ = [
    "Broke",
    "Connection",
    "Connections",
    "Failed",
    "Late",
    "NotConnected",
    "Origin",
    "TooMany",
    "Untrusted",
    "head_of",
]

HIGH = 128 << 10
"""Bytes of an answer that wait for their reader before the socket is not read any more."""

MAX_SILENT = 256 << 10
"""Bytes that may come without a part of a body among them: a head, or trailers, without end."""

ONE_WRITE = 64 << 10
_TARGET = "!#$%&'()*+,-./:;=?@_~"


class Failed(Exception):
    """No answer, or not all of it."""


class Broke(Failed):
    """The connection ended before the answer did, or what came on it is not HTTP."""


class NotConnected(Failed):
    """There is no connection, so nothing was sent."""


class Late(NotConnected):
    """The other end did not answer at all."""


class Untrusted(Failed):
    """One side does not take the other's certificate."""


class TooMany(Failed):
    """Every connection is in use, and none became free in time."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections go: a host and port, over TLS if ``tls`` is set, or a Unix ``socket``.
    ``authority`` is as URLs have it, ``name`` as the host hears it."""

    host: str
    port: int
    authority: str
    name: str
    tls: ssl.SSLContext | None = None
    socket: Path | None = None

    @classmethod
    def of(
        cls, url: str, *, tls: ssl.SSLContext | None = None, socket: Path | None = None
    ) -> Origin:
        """Of what is at ``url``, trusted by ``tls``, or as the system trusts. Raises
        :class:`ValueError`."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        if not parts.hostname or parts.scheme not in ("http", "https") or "@" in parts.netloc:
            raise ValueError("not the URL of a host")
        if secure and tls is None:
            tls = ssl.create_default_context()
        port = parts.port or (443 if secure else 80)
        name = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        return cls(parts.hostname, port, parts.netloc, name, tls if secure else None, socket)

    def target(self, url: str) -> str:
        """What of ``url`` is said to the host. Raises :class:`ValueError` if it is another's."""
        authority, slash, rest = url.partition("://")[2].partition("/")
        if authority != self.authority:
            raise ValueError("a URL of another host")
        return quote(slash + rest or "/", safe=_TARGET)


def head_of(
    method: str, target: str, origin: Origin, headers: Mapping[str, str], length: int
) -> bytes:
    """A request up to its body. Raises :class:`ValueError` for a header that would end early."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {origin.name}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if length or method not in ("GET", "HEAD", "DELETE"):
        lines.append(f"Content-Length: {length}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header holds the end of a line")
    return text.encode() + b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection. :meth:`send`, :meth:`head`, and :meth:`readany` until nothing comes."""

    status = 0

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._poll = select.poll()
        self._waiter: asyncio.Future[None] | None = None
        self._over: Failed | None = None
        self._begin()
        self._ended = True

    def _begin(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._size = self._silent = 0
        self._headed = self._counted = self._ended = self._stays = self._paused = False
        self._error: Exception | None = None

    # What a caller does.

    def send(self, head: bytes, body: bytes) -> None:
        """Write a request. If the connection is over, :meth:`head` says so."""
        self._begin()
        if self._transport.is_closing():
            self._error = self._over or Broke()
        elif len(body) <= ONE_WRITE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def head(self) -> None:
        """Wait for :attr:`status` and :attr:`headers`. Raises :class:`Broke`, :class:`Untrusted`,
        and what :meth:`fail` was given."""
        while not self._headed:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def readany(self) -> bytes:
        """The next bytes of the body; none at its end. Raises as :meth:`head` does, once it has
        given what came before."""
        while not self._chunks:
            if self._ended:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def fail(self, error: Exception) -> None:
        """Whoever waits gets ``error``, and nothing more comes or goes."""
        if self._error is None:
            self._error = error
        self._transport.abort()
        self._wake()

    def close(self) -> None:
        """Drop it, with what was written and not yet sent."""
        self._transport.abort()

    @property
    def reusable(self) -> bool:
        """Whether its answer is over, and another may follow."""
        return (
            self._ended
            and self._error is None
            and self._stays
            and not self._paused  # else nobody would read on
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        )

    @property
    def quiet(self) -> bool:
        """Whether the other end has left it open, has said nothing since its last answer, and takes
        what is written. Asks the kernel: the loop may not have heard yet, and what TLS has handed
        on to its socket, the transport does not count any more."""
        if self._error is not None or self._transport.is_closing():
            return False
        return [event for _, event in self._poll.poll(0)] == [select.POLLOUT]

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the transport calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        socket = transport.get_extra_info("socket")
        self._poll.register(socket.fileno(), select.POLLIN | select.POLLOUT)
        if transport.get_extra_info("ssl_object") is not None:
            # While we are paused nothing may wait between us and the socket: at the end of the
            # connection uvloop drops it, and an answer would look whole that is not.
            transport.set_read_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.fail(Broke())
            return
        if self._silent > MAX_SILENT:
            self.fail(Broke())
        elif self._size > HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        # It is the certificates only as long as there was no answer.
        self._over = Untrusted() if isinstance(exc, ssl.SSLError) and not self._headed else Broke()
        if not self._ended and self._error is None:
            if self._headed and not self._counted and exc is None:
                self._ended = True  # such an answer ends with its connection
            else:
                self._error = self._over
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._ended:  # nobody has asked
            raise Broke

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:  # else it is a trailer
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:  # the answer is still to come
            self.headers = {}
            return
        self._headed = True
        self._silent = 0
        self._counted = (
            b"content-length" in self.headers
            or b"transfer-encoding" in self.headers  # chunks have an end, and others we do not know
            or self.status in (204, 304)
        )
        self._wake()

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._silent = 0
        self._wake()

    def on_message_complete(self) -> None:
        if self._headed:
            self._ended, self._stays = True, self._parser.should_keep_alive()
            self._wake()


class Connections:
    """To one origin, at most ``limit`` at once; those that wait for a request are kept for
    ``keep_s`` seconds. Belongs to one event loop."""

    def __init__(self, origin: Origin, *, limit: int, keep_s: float, connect_s: float) -> None:
        """``connect_s`` is how long to wait for a connection, a free one or a new one."""
        self.origin = origin
        self._places = asyncio.Semaphore(limit)
        self._keep_s, self._connect_s = keep_s, connect_s
        self._idle: deque[tuple[Connection, float]] = deque()  # the longest idle first
        self._sweeper: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """A connection that nobody else uses. It is kept if its answer was read to the end, and
        else dropped. Raises :class:`TooMany`, :class:`NotConnected`, :class:`Untrusted`."""
        if self._places.locked():
            try:
                async with asyncio.timeout(self._connect_s):
                    await self._places.acquire()
            except TimeoutError:
                raise TooMany from None
        else:
            await self._places.acquire()
        try:
            connection = self._kept() or await self._new()
            try:
                yield connection
            finally:
                if connection.reusable:
                    self._keep(connection)
                else:
                    connection.close()
        finally:
            self._places.release()

    def close(self) -> None:
        """Drop those that wait for a request."""
        while self._idle:
            self._idle.pop()[0].close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _kept(self) -> Connection | None:
        """The one that was used last."""
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.quiet:
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self._idle.append((connection, loop.time()))
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keep_s, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        over = loop.time() - self._keep_s
        while self._idle and self._idle[0][1] <= over:
            self._idle.popleft()[0].close()
        left = self._idle[0][1] - over if self._idle else 0.0
        self._sweeper = loop.call_later(left, self._sweep) if self._idle else None

    async def _new(self) -> Connection:
        loop, to = asyncio.get_running_loop(), self.origin
        try:
            async with asyncio.timeout(self._connect_s):
                if to.socket is not None:
                    _, made = await loop.create_unix_connection(Connection, str(to.socket))
                    return made
                line = await addresses.reach(to.host, to.port)
                try:
                    _, made = await loop.create_connection(
                        Connection,
                        sock=line,
                        ssl=to.tls,
                        server_hostname=to.host if to.tls is not None else None,
                    )
                except BaseException:
                    line.close()
                    raise
                return made
        except ssl.SSLError:
            raise Untrusted from None
        except TimeoutError:
            raise Late from None
        except (OSError, UnicodeError):
            raise NotConnected from None
