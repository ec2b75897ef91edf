"""uvicorn as we run it: on a socket that is there already, over TLS if so configured, and with an
end that takes its time: first /readyz says no, then the listener closes, then answers end."""

from __future__ import annotations

import asyncio
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
    """Notes a client's certificate once per connection; each request finds it in its state."""

    app_state: dict[str, Any]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        certificate = fingerprint(transport)
        if certificate is not None:
            self.app_state = {**self.app_state, "certificate": certificate}


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
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except SystemExit:
        raise SovereignError("the gateway did not start") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
