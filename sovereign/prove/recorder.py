"""The recording stand-in as a process of its own, at the place to which the deployment's hosted
upstream points while it is tested."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sovereign.errors import ConfigError, MissingExtra

__all__ = ["Place", "recorder"]


class Place:
    """Where the hosted side is played: ``host:port``."""

    def __init__(self, text: str) -> None:
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError("--listen is a host and a port, such as 127.0.0.1:8765")
        self.host, self.port = host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        """As a base URL, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def require_free(self) -> None:
        """Raises :class:`ConfigError` if somebody listens there already."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((self.host, self.port))
            except OSError as e:
                raise ConfigError(
                    f"cannot record at {self.host}:{self.port}: {(e.strerror or 'error').lower()}",
                    hint="--listen takes another place; point the hosted upstream there",
                ) from None


@contextlib.contextmanager
def recorder(place: Place, record: Path) -> Iterator[None]:
    """While the block runs, what is sent to ``place`` is written to ``record``."""
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("the recording stand-in", "gateway")
    place.require_free()
    where = ["--host", place.host, "--port", str(place.port), "--record", str(record)]
    command = [sys.executable, "-m", "sovereign.gateway.standin", *where]
    # What it makes of odd requests is none of the report: it has written them down before.
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        try:
            assert process.stdout is not None
            if not json.loads(process.stdout.readline() or "{}"):
                raise ConfigError(f"the recording stand-in did not start at {place.url}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)
