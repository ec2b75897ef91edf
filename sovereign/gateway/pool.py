"""Connections to destinations: one request of bytes that were cleared, tried again only where
nobody can have acted on it, with an answer that is read no faster than the caller takes it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from sovereign.errors import Overloaded, UpstreamFailed
from sovereign.gateway import http1
from sovereign.gateway.http1 import Connection, Connections, Origin
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
    they have not come to their end ``total_s`` after the request.

    What is not taken stays with the destination: some 128 KiB wait here, then its socket is not
    read any more. One timer looks after the whole of it, and is set again when it finds that bytes
    came meanwhile: a timer for each read was a tenth of what a streamed token costs.
    """

    __slots__ = ("_connection", "_end", "_idle_s", "_late", "_loop", "_since", "_timer")

    def __init__(self, connection: Connection, *, first_s: float, total_s: float) -> None:
        """When the request was sent. For ``first_s`` there may be no answer at all."""
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._end = now + total_s
        self._since: float | None = now  # when the wait began that goes on
        self._idle_s = first_s
        self._late: Callable[[], TimeoutError] = _NoFirstByte
        self._timer = self._loop.call_later(min(first_s, total_s), self._look)

    async def begun(self, idle_s: float) -> None:
        """Wait for the head; from there on ``idle_s`` is how long nothing may come."""
        await self._connection.head()
        self._since = None
        shorter = idle_s < self._idle_s
        self._idle_s, self._late = idle_s, TimeoutError
        if shorter:
            self._timer.cancel()
            self._look()

    def _look(self) -> None:
        now = self._loop.time()
        idle = self._idle_s if self._since is None else self._since + self._idle_s - now
        left = min(idle, self._end - now)
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._connection.fail(self._late() if idle <= self._end - now else TimeoutError())

    def close(self) -> None:
        """It is not read any further."""
        self._timer.cancel()

    async def readany(self) -> bytes:
        """The next bytes; none at the end."""
        self._since = self._loop.time()
        try:
            return await self._connection.readany()
        finally:
            self._since = None

    async def iter_any(self) -> AsyncIterator[bytes]:
        """All of them, as they come."""
        while chunk := await self.readany():
            yield chunk


class _NoFirstByte(TimeoutError):
    """No answer began in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A destination's answer, before its body was read. ``retry_after`` is in seconds, if it said
    so; a date is no time that is waited for."""

    status: int
    content_type: str
    retry_after: str | None
    body: Body


class Pool:
    """Connections to all upstreams; belongs to one event loop."""

    def __init__(self) -> None:
        self._connections: dict[str, Connections] = {}

    def _to(self, upstream: Upstream) -> Connections:
        name = upstream.destination.name
        known = self._connections.get(name)
        if known is None:
            origin = Origin.of(upstream.base_url, tls=upstream.tls, socket=upstream.socket)
            known = self._connections[name] = Connections(
                origin,
                limit=upstream.max_connections,
                keep_s=KEEP_ALIVE_S if upstream.socket is None else KEEP_ALIVE_LOCAL_S,
                connect_s=upstream.connect_s,
            )
        return known

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

        Only what nobody has acted on is sent again: there was no connection, or the destination
        says that it is too busy and when to come back. A connection that broke may have delivered
        the request.

        Raises :class:`UpstreamFailed`, also for what goes wrong inside the block on the
        connection, and :class:`Overloaded` if no connection becomes free in time. Messages name
        the destination, never what it said. ``attempts`` counts along.
        """
        name = upstream.destination.name
        to, attempts = self._to(upstream), attempts or Attempts()
        try:
            head = http1.head_of(method, to.origin.target(url), to.origin, headers, len(raw))
        except ValueError:
            raise UpstreamFailed(
                f"what would be sent to destination {name!r} is no request",
                hint="does the variable of its key hold the end of a line?",
            ) from None
        left, give_up = upstream.retries, 0.0
        try:
            while True:
                await first()
                began = time.perf_counter()
                give_up = give_up or began + upstream.retry_within_s
                attempts.count += 1
                try:
                    async with to.one() as connection:
                        connection.send(head, raw)
                        body = Body(
                            connection, first_s=upstream.first_byte_s, total_s=upstream.timeout_s
                        )
                        try:
                            await body.begun(upstream.idle_s)
                            now = time.perf_counter()
                            attempts.waited = now - began
                            answer = _answer(upstream, connection, body)
                            wait = _busy_for(answer)
                            if not left or wait is None or now + wait > give_up:
                                yield answer
                                return
                        finally:
                            body.close()
                except http1.NotConnected as e:
                    wait = FIRST_WAIT_S * 2 ** (attempts.count - 1)
                    late = isinstance(e, http1.Late)
                    if not left or late or time.perf_counter() + wait > give_up:
                        raise
                left -= 1
                await asyncio.sleep(wait)
        except http1.TooMany:
            raise Overloaded(
                f"every connection to destination {name!r} is in use", hint="try again shortly"
            ) from None
        except http1.Late:
            raise _late(upstream, "could not be reached", "connect_s") from None
        except http1.NotConnected:
            raise UpstreamFailed(
                f"destination {name!r} cannot be reached", hint="is it running? see /readyz"
            ) from None
        except _NoFirstByte:
            raise _late(upstream, "did not begin to answer", "first_byte_s") from None
        except TimeoutError:
            raise _late(upstream, "did not answer", "timeout_s and idle_s") from None
        except http1.Untrusted:
            raise UpstreamFailed(
                f"destination {name!r} shows a certificate that is not trusted here, or wants one",
                hint=f"upstream.{name}.ca_file and cert_file in sovereign.toml",
            ) from None
        except http1.Broke:
            raise UpstreamFailed(
                f"destination {name!r} broke off or answered with something else than HTTP",
                hint="try again",
            ) from None

    async def close(self) -> None:
        """Drop every connection that waits for a request."""
        for connections in self._connections.values():
            connections.close()
        self._connections.clear()


def _answer(upstream: Upstream, connection: Connection, body: Body) -> Answer:
    said = connection.headers
    if said.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UpstreamFailed(  # nothing else was asked for
            f"destination {upstream.destination.name!r} answered in an encoding that nobody asked"
            " for",
            hint="does something on the way there compress what passes?",
        )
    kind = said.get(b"content-type", b"application/octet-stream").decode("latin-1")
    after = said.get(b"retry-after", b"").decode("latin-1")
    return Answer(
        connection.status,
        kind.partition(";")[0].strip().lower(),
        after if after.isdecimal() and len(after) < 6 else None,
        body,
    )


def _busy_for(answer: Answer) -> float | None:
    """How long the destination wants to be left alone, if it is too busy."""
    if answer.status not in _BUSY or answer.retry_after is None:
        return None
    return float(answer.retry_after)


def _late(upstream: Upstream, what: str, setting: str) -> UpstreamFailed:
    late = UpstreamFailed(
        f"destination {upstream.destination.name!r} {what} in time",
        hint=f"{setting} of [upstream.{upstream.destination.name}] in sovereign.toml",
    )
    late.status = 504
    return late
