"""Opens the door: guard, log, engines, then the listener; and closes them in reverse.

With no working guard or log there is no listener.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sovereign import __version__
from sovereign.audit import record
from sovereign.audit.log import open_log
from sovereign.config import Config
from sovereign.gateway import logs
from sovereign.gateway.app import create_app
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.limits import Limits
from sovereign.gateway.listener import base_url, bind, serve
from sovereign.gateway.supervise import Supervisor
from sovereign.gateway.tls import Listening
from sovereign.gateway.upstreams import Upstreams
from sovereign.guard import Guard
from sovereign.types import Sink

__all__ = ["run", "started"]


def run(
    config: Config,
    *,
    make: Callable[[Config], Guard] = Guard.from_config,
    port: int | None = None,
    workers: int | None = None,
    ready_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests end.

    ``make`` builds the guard, and again when the policy file changes; several workers build their
    own, from the configuration. ``port`` and ``workers`` stand in for the configuration's own.
    ``ready_file`` gets the base URLs as JSON once requests are taken. Raises
    :class:`SovereignError` if the door cannot open.
    """
    count = config.gateway.workers if workers is None else workers
    with contextlib.ExitStack() as stack:
        # Bound first, so that a port in use is known at once; it listens last.
        listener = bind(config.gateway.host, config.gateway.port if port is None else port)
        stack.callback(listener.close)
        tls = Listening(config, config.tls) if config.tls is not None else None
        Limits.from_config(config)
        KeyRing(config.resolve(config.keys.file)).entries()  # no door whose keys cannot be read
        guard = make(config)
        guard.canary()
        log = stack.enter_context(open_log(config, "gateway", start=True))
        engines = _start_engines(config, log, stack, say)
        sockets = {name: engine.socket for name, engine in engines.items()}
        upstreams = Upstreams.from_config(config, sockets)
        url = base_url(listener, tls=tls is not None)
        for line in _greeting(config, guard, upstreams, url):
            say(line)
        logs.configure(config.gateway.log_format)

        def ready() -> None:
            _announce(ready_file, url)

        if count > 1:
            log.append(started(config, guard, workers=count))
            supervisor = Supervisor(config, listener, sockets, count)
            del guard, upstreams  # each worker has its own
            supervisor.run(ready)
        else:
            app = create_app(
                config,
                guard=guard,
                log=log,
                upstreams=upstreams,
                engines=engines,
                make=lambda: make(config),
                tls=tls,
            )
            log.append(
                record.event("policy.load", name=guard.policy.name, policy=guard.policy.digest())
            )
            log.append(started(config, guard))
            serve(config, app, listener, tls=tls, ready=ready)
        log.append(record.event("gateway.stop", reason="signal"))
        say("closed")


def started(
    config: Config, guard: Guard, *, worker: int | None = None, workers: int | None = None
) -> dict[str, Any]:
    """The record of a gateway, or one of its workers, that opens."""
    return record.event(
        "gateway.start",
        version=__version__,
        policy=guard.policy.digest(),
        guard_build=guard.build,
        policy_name=guard.policy.name,
        config_sha256=hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
        worker=worker,
        workers=workers,
    )


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
    for role, name in config.gateway.local_models.items():
        lines.append(f"  {role:<16} {name}")
    return lines


def _announce(ready_file: Path | None, url: str) -> None:
    if ready_file is None:
        return
    said = {"url": url, "openai": f"{url}/v1", "anthropic": url, "pid": os.getpid()}
    temp = ready_file.with_name(f"{ready_file.name}.{os.getpid()}.tmp")
    temp.write_text(json.dumps(said) + "\n")
    temp.replace(ready_file)
