"""Asks an engine over its Unix socket whether it can answer. Standard library only."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

__all__ = ["healthy"]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def healthy(path: Path, timeout: float = 2.0) -> bool:
    """Whether ``GET /health`` at the socket ``path`` answers 200 within ``timeout`` seconds."""
    connection = _Connection(path, timeout)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
