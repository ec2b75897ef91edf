"""Opens the door: guard, log, engines, then the listener; and closes them in reverse.

With no working guard or log there is no listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from sovereign import __version__
from sovereign.audit import record
from sovereign.audit.log import open_log
from sovereign.config import Config
from sovereign.errors import ConfigError, SovereignError
from sovereign.gateway.app import create_app
from sovereign.gateway.upstreams import Upstreams
from sovereign.guard import Guard
from sovereign.types import Sink

__all__ = ["run"]

LOGGER = logging.getLogger("sovereign.gateway")
DRAIN_S = 30
BACKLOG = 1024


def run(
    config: Config,
    *,
    guard: Guard | None = None,
    port: int | None = None,
    ready_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests end.

    ``guard`` and ``port`` stand in for the configuration's own. ``ready_file`` gets the base URLs
    as JSON once requests are taken. Raises :class:`SovereignError` if the door cannot open.
    """
    with contextlib.ExitStack() as stack:
        # Bound first, so that a port in use is known at once; it listens last.
        listener = _bind(config.gateway.host, config.gateway.port if port is None else port)
        stack.callback(listener.close)
        guard = guard or Guard.from_config(config)
        guard.canary()
        log = stack.enter_context(open_log(config, "gateway"))
        engines = _start_engines(config, log, stack, say)
        upstreams = Upstreams.from_config(config, {n: e.socket for n, e in engines.items()})
        app = create_app(config, guard=guard, log=log, upstreams=upstreams, engines=engines)
        policy = guard.policy
        log.append(record.event("policy.load", name=policy.name, policy=policy.digest()))
        log.append(
            record.event(
                "gateway.start",
                version=__version__,
                policy=policy.digest(),
                guard_build=guard.build,
                policy_name=policy.name,
                config_sha256=hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
            )
        )
        url = _url(listener)
        for line in _greeting(config, guard, upstreams, url):
            say(line)
        _log_plainly()
        _serve(app, listener, lambda: _announce(ready_file, url))
        log.append(record.event("gateway.stop", reason="signal"))
        say("closed")


def _bind(host: str, port: int) -> socket.socket:
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


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _start_engines(
    config: Config, log: Sink, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> Mapping[str, Any]:
    """A process for each [models.NAME], proven healthy. The room is imported only if needed."""
    if not config.models:
        return {}
    from sovereign.serve.supervise import engines_from_config
    from sovereign.weights.store import open_store

    engines = engines_from_config(config, open_store(config, sink=log), log)
    for name, engine in engines.items():
        say(f"starting model {name} …")
        stack.callback(engine.stop)
        engine.start()
        engine.watch()
    return engines


def _greeting(config: Config, guard: Guard, upstreams: Upstreams, url: str) -> list[str]:
    lines = [
        f"sovereign gateway {__version__}",
        f"  OpenAI SDKs      base_url={url}/v1",
        f"  Anthropic SDKs   base_url={url}",
        f"  policy           {guard.policy.name} {guard.policy.digest()[:12]}",
    ]
    for upstream in upstreams.all:
        to = upstream.destination
        where = (
            f"process of its own, {upstream.wire} wire" if upstream.socket else upstream.base_url
        )
        lines.append(f"  {to.side:<7} {to.name:<12} {', '.join(upstream.models)}  ({where})")
    lines += [
        f"  warning: {u.key_env} is not set: requests to {u.destination.name} are refused"
        for u in upstreams.all
        if u.lacks_key
    ]
    if config.gateway.local_model:
        lines.append(f"  kept local by    {config.gateway.local_model}")
    return lines


def _log_plainly() -> None:
    """One line per event on stderr, from our own code only: uvicorn's would hold paths and
    tracebacks, and with them what callers sent."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("sovereign")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "aiohttp"):
        theirs = logging.getLogger(name)
        theirs.handlers[:] = [logging.NullHandler()]
        theirs.propagate = False


def _announce(ready_file: Path | None, url: str) -> None:
    if ready_file is None:
        return
    said = {"url": url, "openai": f"{url}/v1", "anthropic": url, "pid": os.getpid()}
    temp = ready_file.with_name(f"{ready_file.name}.{os.getpid()}.tmp")
    temp.write_text(json.dumps(said) + "\n")
    temp.replace(ready_file)


class _Server(uvicorn.Server):  # type: ignore[misc]
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _serve(app: Any, listener: socket.socket, ready: Callable[[], None]) -> None:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config, ready)
    # uvicorn raises the signals it caught again once it is done; by then we want to tidy up.
    before = {s: signal.signal(s, lambda *_: None) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=[listener]))
    except SystemExit:
        raise SovereignError("the gateway did not start") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
