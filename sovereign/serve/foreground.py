"""Runs one supervised engine until somebody stops it: what ``sovereign serve`` does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

from sovereign.serve.relay import relay
from sovereign.serve.supervise import Supervisor

__all__ = ["run"]


def run(
    supervisor: Supervisor,
    listener: socket.socket | None,
    *,
    timeout: float,
    say: Callable[[str], None],
) -> None:
    """Start the engine, relay ``listener`` to it if given, and return at SIGINT or SIGTERM.

    Raises :class:`EngineDown` if it does not start. A dead engine is restarted, and said so.
    """
    with supervisor:
        asyncio.run(_run(supervisor, listener, lambda: supervisor.start(timeout), say))


async def _run(
    supervisor: Supervisor,
    listener: socket.socket | None,
    start: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    say(f"loading {supervisor.name} …")
    starting = asyncio.create_task(asyncio.to_thread(start))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        # Otherwise the thread would go on waiting for an engine that nobody wants.
        await asyncio.to_thread(supervisor.stop)
        with contextlib.suppress(Exception):
            await starting
        return
    await starting
    supervisor.watch()
    server = None if listener is None else await relay(listener, supervisor.socket)
    for line in _welcome(supervisor, listener):
        say(line)
    down, rollovers, refused = False, 0, supervisor.last_error
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)
        if not stop.is_set() and supervisor.alive == down:
            down = not down
            error = supervisor.last_error
            say(f"{error}; starting it again …" if down and error else "the engine is back")
            refused = error
        elif supervisor.rollovers != rollovers:
            rollovers = supervisor.rollovers
            say("serving the adapters that are there now")
        elif supervisor.last_error is not refused:
            refused = supervisor.last_error
            say(f"going on with the adapters it has: {refused}")
    say("stopping …")
    if server is not None:
        server.close()
    await asyncio.to_thread(supervisor.stop)


def _welcome(supervisor: Supervisor, listener: socket.socket | None) -> list[str]:
    if listener is None:
        url, how = "http://engine", f"--unix-socket {supervisor.socket} "
        where = str(supervisor.socket)
    else:
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        how, where = "", f"{url}/v1"
    if supervisor.engine == "whisper":
        form = f"-F model={supervisor.name} -F file=@recording.wav"
        return [
            f"serving {supervisor.name} at {where} (Ctrl-C stops)",
            f"try: curl {how}{url}/v1/audio/transcriptions {form}",
        ]
    if supervisor.engine == "diffusers":
        body = f'{{"model": "{supervisor.name}", "prompt": "a lighthouse"}}'
        return [
            f"serving {supervisor.name} at {where} (Ctrl-C stops)",
            f"try: curl {how}{url}/v1/images/generations -H 'Content-Type: application/json' "
            f"-d '{body}'",
        ]
    body = f'{{"model": "{supervisor.name}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    return [
        f"serving {supervisor.name} at {where} (Ctrl-C stops)",
        f"try: curl {how}{url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'",
    ]
