"""uvicorn as we run it: on a socket that is there already, over TLS if so configured, and with an
end that takes its time: first /readyz says no, then the listener closes, then answers end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sovereign.config import Config
from sovereign.errors import ConfigError, SovereignError
from sovereign.gateway.app import App
from sovereign.gateway.tls import Listening, fingerprint

__all__ = ["base_url", "bind", "serve"]

BACKLOG = 1024
HEAD_S = 30.0
"""From a connection's beginning, or a request's first byte, to the end of its head."""
LINGER_S = 60.0
MAX_HEAD = 64 << 10
"""Bytes of a head, beside those that came with its first: nobody knows yet who sends them."""
MAX_QUEUED = 64
"""Requests that may wait on one connection for the answer to the one before. Each is some kilobytes
here, and a few bytes there."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound, and does not listen yet. Raises :class:`ConfigError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, UnicodeError) as e:
        listener.close()
        reason = e.strerror if isinstance(e, OSError) else "not a host name"
        raise ConfigError(
            f"cannot listen at {host}:{port}: {(reason or 'unknown').lower()}",
            hint="--port 0 takes a free one; or change [gateway] in sovereign.toml",
        ) from None
    return listener


def base_url(listener: socket.socket, *, tls: bool) -> str:
    """Where ``listener`` is, as callers on this machine name it."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


class _Protocol(HttpToolsProtocol):  # type: ignore[misc]
    """Notes a client's certificate once per connection; each request finds it in its state. Closes
    a connection on which no head of a request comes to its end: it holds a descriptor, and nobody
    knows yet who it is."""

    app_state: dict[str, Any]
    _awaited: asyncio.TimerHandle | None = None
    _closing_since: float | None = None
    _head_size: int | None = None  # of one that has begun, and not come to its end

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()
        certificate = fingerprint(transport)
        if certificate is not None:
            self.app_state = {**self.app_state, "certificate": certificate}

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        begun = self._head_size is not None
        super().data_received(data)
        if begun and self._head_size is not None:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0
        if self._awaited is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._came()
        self._head_size = None
        if len(self.pipeline) >= MAX_QUEUED:
            self.transport.abort()
            raise ValueError("too many requests at once")
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.scope["method"] != "HEAD":  # whose answer is all head
            self.cycle.transport = _HeadWithBody(self.transport)

    def _unsupported_upgrade_warning(self) -> None:
        """A head asked for another protocol than ours. Its parser has read no body behind it, so
        that would be the next request: nothing more is read, and the answer is the last."""
        self.cycle.keep_alive = False
        self.parser = _Deaf()

    def _await_head(self) -> None:
        self._awaited = self.loop.call_later(HEAD_S, self._give_up)

    def _came(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def sweep(self, now: float) -> None:
        """A connection that is closed still waits for its caller to take what was written. Not for
        ever; nor is one open on which something came that began no request: the rest of one that
        was refused, empty lines, half a head behind a long answer."""
        if not self.transport.is_closing():
            if self._awaited is None and self.timeout_keep_alive_task is None and not self._busy:
                self._await_head()
            return
        if self._closing_since is None:
            self._closing_since = now
        elif now - self._closing_since > LINGER_S:
            self.transport.abort()

    def _give_up(self) -> None:
        self._awaited = None
        if not self._busy and not self.transport.is_closing():
            self.transport.close()

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


class _Deaf:
    """A parser for what is not read."""

    def feed_data(self, data: bytes) -> None:
        """Nothing comes of it."""


class _HeadWithBody:
    """A transport of one answer: its head goes out with the first bytes of its body. Each write is
    a call of the kernel, a packet, and the caller's waking up."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, None
        elif self._head is not None and not data.startswith(_CONTINUE):
            self._head = data
            return
        self._transport.write(data)

    def close(self) -> None:
        if self._head:
            self._transport.write(self._head)
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


_CONTINUE = b"HTTP/1.1 100 "


class _Server(uvicorn.Server):  # type: ignore[misc]
    def __init__(
        self, config: uvicorn.Config, app: App, ready: Callable[[], None], delay_s: float
    ) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._delay_s = delay_s
        self._exit_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: first tell load balancers, then close. A second signal, or Ctrl-C: close."""
        hurry = sig == signal.SIGINT or self._app.draining
        self._app.draining = True
        if hurry or not self._delay_s:
            super().handle_exit(sig, frame)
        else:
            self._exit_at = time.monotonic() + self._delay_s

    def drain(self) -> None:
        """As SIGTERM does."""
        self.handle_exit(signal.SIGTERM, None)

    async def on_tick(self, counter: int) -> bool:
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        if counter % 10 == 0:  # each second
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                connection.sweep(now)
        return bool(await super().on_tick(counter))


def serve(
    config: Config,
    app: App,
    listener: socket.socket,
    *,
    tls: Listening | None,
    ready: Callable[[], None],
    until: int | None = None,
) -> None:
    """Until SIGTERM or SIGINT, or until the file descriptor ``until`` can be read: whoever started
    us holds its other end. SIGHUP has the policy file read. Raises :class:`SovereignError`."""
    settings = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=config.gateway.drain_s,
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
    )
    server = _Server(settings, app, ready, config.gateway.drain_delay_s)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, app.standing.ask)
        if until is not None:

            def ended() -> None:
                loop.remove_reader(until)
                server.drain()

            loop.add_reader(until, ended)
        await server.serve(sockets=[listener])

    # uvicorn raises the signals it caught again once it is done; by then we want to tidy up.
    before = {s: signal.signal(s, lambda *_: None) for s in (signal.SIGTERM, signal.SIGINT)}
    # What is there now stays there: to look through it again would hold up every caller at once.
    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except SystemExit:
        raise SovereignError("the gateway did not start") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
