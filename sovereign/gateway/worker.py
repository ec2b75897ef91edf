"""One worker of several: a whole gateway on a listener that its supervisor holds.

python -m sovereign.gateway.worker    reads one line of JSON from stdin, answers with one on stdout
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from sovereign.audit import record
from sovereign.audit.log import open_log
from sovereign.config import Config
from sovereign.errors import SovereignError
from sovereign.gateway import logs
from sovereign.gateway.app import create_app
from sovereign.gateway.listener import serve
from sovereign.gateway.ready import SocketEngine
from sovereign.gateway.server import started
from sovereign.gateway.siblings import Siblings
from sovereign.gateway.tls import Listening
from sovereign.gateway.upstreams import Upstreams
from sovereign.guard import Guard

__all__ = ["main"]


def main() -> int:
    """Serve until SIGTERM, or until the supervisor is gone. Exit status 3: it could not start."""
    told = json.loads(_line(0))
    try:
        _serve(told)
    except SovereignError as e:
        _say({"code": e.code, "message": e.message, "hint": e.hint})
        print(f"error: {e.message}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


def _line(fd: int) -> bytes:
    """Read past Python's buffer, which would hide from a poll that there is nothing more."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(fd, 65536)
        if not part:
            break
        line += part
    return line


def _serve(told: dict[str, Any]) -> None:
    config = Config.model_validate(told["config"])
    config._path = Path(told["file"])
    number = told["worker"]
    logs.configure(config.gateway.log_format, str(number))
    listener = socket.socket(fileno=told["fd"])
    tls = Listening(config, config.tls) if config.tls is not None else None
    sockets = {name: Path(path) for name, path in told["sockets"].items()}
    guard = Guard.from_config(config)
    guard.canary()
    with open_log(config, f"gateway-w{number}", start=True) as log:
        app = create_app(
            config,
            guard=guard,
            log=log,
            upstreams=Upstreams.from_config(config, sockets),
            engines={name: SocketEngine(path) for name, path in sockets.items()},
            tls=tls,
            siblings=Siblings(Path(told["folder"]), number, told["workers"]),
        )
        policy = guard.policy
        log.append(record.event("policy.load", name=policy.name, policy=policy.digest()))
        log.append(started(config, guard, worker=number, workers=told["workers"]))
        serve(config, app, listener, tls=tls, ready=lambda: _say({"ready": True}), until=0)
        log.append(record.event("gateway.stop", reason="signal"))


def _say(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
