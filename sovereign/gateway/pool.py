"""Connections to destinations: one POST of bytes that were cleared, tried again only where nobody
can have acted on it, with an answer that is read no faster than the caller takes it.

No redirects, cookies, or proxies from the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from sovereign.errors import Overloaded, UpstreamFailed
from sovereign.gateway.upstreams import Upstream

__all__ = ["Answer", "Attempts", "Body", "Pool"]

FIRST_WAIT_S = 0.1
KEEP_ALIVE_S = 30.0
KEEP_ALIVE_LOCAL_S = 3.0
"""To an engine's socket, which costs nothing to open: llama.cpp closes idle ones after five."""
_BUSY = frozenset({429, 503})


@dataclass(slots=True)
class Attempts:
    """How often a request was sent, and how long the last one waited for its answer to begin."""

    count: int = 0
    waited: float | None = None


class Body:
    """An answer's bytes. Raises :class:`TimeoutError` if none come for ``idle_s`` seconds, or if
    they have not come to their end after ``total_s``.

    What is not taken stays with the destination: the reader holds some 128 KiB, then stops reading
    from the socket. One timer looks after the whole of it, and is set again when it finds that
    bytes came meanwhile: a timer for each read was a tenth of what a streamed token costs.
    """

    __slots__ = ("_end", "_idle_s", "_loop", "_reader", "_since", "_timer")

    def __init__(self, reader: aiohttp.StreamReader, idle_s: float, total_s: float) -> None:
        """Inside a running event loop."""
        self._reader = reader
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + total_s
        self._since: float | None = None  # when the read began that waits now
        self._timer = self._loop.call_later(min(idle_s, total_s), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        idle = self._idle_s if self._since is None else self._since + self._idle_s - now
        left = min(idle, self._end - now)
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._reader.set_exception(TimeoutError())

    def close(self) -> None:
        """It is not read any further."""
        self._timer.cancel()

    async def readany(self) -> bytes:
        """The next bytes; none at the end."""
        self._since = self._loop.time()
        try:
            return await self._reader.readany()
        finally:
            self._since = None

    async def iter_any(self) -> AsyncIterator[bytes]:
        """All of them, as they come."""
        while chunk := await self.readany():
            yield chunk


@dataclass(frozen=True, slots=True)
class Answer:
    """A destination's answer, before its body was read."""

    status: int
    content_type: str
    retry_after: str | None
    body: Body


class Pool:
    """Connections to all upstreams; belongs to one event loop."""

    def __init__(self) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def _session(self, upstream: Upstream) -> aiohttp.ClientSession:
        name = upstream.destination.name
        session = self._sessions.get(name)
        if session is None:
            limit = upstream.max_connections
            connector: aiohttp.BaseConnector
            if upstream.socket is not None:
                connector = aiohttp.UnixConnector(
                    str(upstream.socket), limit=limit, keepalive_timeout=KEEP_ALIVE_LOCAL_S
                )
            else:
                connector = aiohttp.TCPConnector(
                    limit=limit,
                    ttl_dns_cache=60,
                    keepalive_timeout=KEEP_ALIVE_S,
                    ssl=upstream.tls if upstream.tls is not None else True,
                )
            session = self._sessions[name] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                # How long all of it may take is looked after below, and in Body: aiohttp's own
                # timer would be asked for each read.
                timeout=aiohttp.ClientTimeout(total=None, connect=upstream.connect_s),
            )
        return session

    @contextlib.asynccontextmanager
    async def post(
        self,
        upstream: Upstream,
        url: str,
        raw: bytes,
        headers: Mapping[str, str],
        attempts: Attempts | None = None,
        *,
        first: Callable[[], Awaitable[None]],
        method: str = "POST",
    ) -> AsyncIterator[Answer]:
        """Send ``raw`` and give the answer; leaving the block early drops the connection. ``first``
        is waited for before each try does anything that could be seen outside: what a request is
        made of costs nothing while the log waits for its disk.

        Raises :class:`UpstreamFailed`, also for what goes wrong inside the block on the
        connection, and :class:`Overloaded` if no connection becomes free in time. Messages name
        the destination, never what it said. ``attempts`` counts along.
        """
        name = upstream.destination.name
        session = self._session(upstream)
        try:
            attempts = attempts or Attempts()
            sent = await self._answered(
                session, upstream, method, url, raw, headers, attempts, first
            )
            async with sent as response:
                left_s = upstream.timeout_s - (attempts.waited or 0)
                body = Body(response.content, upstream.idle_s, left_s)
                try:
                    yield Answer(
                        response.status,
                        response.content_type,
                        response.headers.get("Retry-After"),
                        body,
                    )
                finally:
                    body.close()
        except aiohttp.ConnectionTimeoutError:
            full = session.connector is not None and (
                len(session.connector._acquired) >= upstream.max_connections
            )
            if full:
                raise Overloaded(
                    f"every connection to destination {name!r} is in use", hint="try again shortly"
                ) from None
            raise _late(upstream, "could not be reached", "connect_s") from None
        except _NoFirstByte:
            raise _late(upstream, "did not begin to answer", "first_byte_s") from None
        except TimeoutError:
            raise _late(upstream, "did not answer", "timeout_s and idle_s") from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            raise UpstreamFailed(
                f"destination {name!r} shows a certificate that is not trusted here, or wants one",
                hint=f"upstream.{name}.ca_file and cert_file in sovereign.toml",
            ) from None
        except aiohttp.ClientConnectorError:
            raise UpstreamFailed(
                f"destination {name!r} cannot be reached", hint="is it running? see /readyz"
            ) from None
        except aiohttp.ClientError:
            raise UpstreamFailed(
                f"destination {name!r} broke off or answered with something else than HTTP",
                hint="try again",
            ) from None

    async def _answered(
        self,
        session: aiohttp.ClientSession,
        upstream: Upstream,
        method: str,
        url: str,
        raw: bytes,
        headers: Mapping[str, str],
        attempts: Attempts,
        first: Callable[[], Awaitable[None]],
    ) -> aiohttp.ClientResponse:
        """The answer's head, after as many tries as are allowed.

        Only what nobody has acted on is sent again: no connection, or a destination that says it
        is too busy and when to come back. A connection that broke may have delivered the request.
        """
        loop = asyncio.get_running_loop()
        within_s = min(upstream.first_byte_s, upstream.timeout_s)
        give_up = began = 0.0

        async def go(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            nonlocal give_up, began
            await first()
            began = time.perf_counter()
            give_up = give_up or began + upstream.retry_within_s
            attempts.count += 1
            first_byte.reschedule(loop.time() + within_s)
            return await handler(request)

        for left in range(upstream.retries, -1, -1):
            try:
                async with asyncio.timeout(None) as first_byte:
                    response = await session.request(
                        method,
                        url,
                        data=raw or None,
                        headers=headers,
                        allow_redirects=False,
                        middlewares=(go,),
                    )
            except aiohttp.ClientConnectorError as e:
                wait = FIRST_WAIT_S * 2 ** (attempts.count - 1)
                untrusted = isinstance(e, aiohttp.ClientSSLError)
                if not left or untrusted or time.perf_counter() + wait > give_up:
                    raise
            except TimeoutError:
                if first_byte.expired() and upstream.first_byte_s <= upstream.timeout_s:
                    raise _NoFirstByte from None
                raise
            else:
                attempts.waited = time.perf_counter() - began
                after = _seconds(response.headers.get("Retry-After"))
                busy = response.status in _BUSY and after is not None
                if not left or not busy or after is None or time.perf_counter() + after > give_up:
                    return response
                response.close()
                wait = after
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Drop every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


class _NoFirstByte(Exception):
    """No answer began in time."""


def _late(upstream: Upstream, what: str, setting: str) -> UpstreamFailed:
    late = UpstreamFailed(
        f"destination {upstream.destination.name!r} {what} in time",
        hint=f"{setting} of [upstream.{upstream.destination.name}] in sovereign.toml",
    )
    late.status = 504
    return late


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; a date is none that is waited for."""
    if retry_after is None or not retry_after.isdecimal() or len(retry_after) > 5:
        return None
    return float(retry_after)
