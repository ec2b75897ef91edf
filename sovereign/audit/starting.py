"""Starts a log's sequencer, if it has none: a new process, spawned and never forked.

It belongs to nobody: it goes on serving others when its starter dies, and ends by itself when
nobody has been connected for a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sovereign.audit import wire
from sovereign.audit.place import Place
from sovereign.errors import ConfigError, LogUnavailable

__all__ = ["Starter", "connect"]

LINGER_SECONDS = 3.0
START_SECONDS = 30.0
POLL_SECONDS = 0.02

_STARTED: list[subprocess.Popen[bytes]] = []
"""Children that have not been seen to end, so that each is taken off the process table."""


def connect(folder: Path) -> socket.socket:
    """A connection to the sequencer of the log in ``folder``. OSError if there is none."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with wire.address(folder) as name:
            sock.connect(name)
        if wire.peer_uid(sock) not in (os.geteuid(), (folder / wire.SOCKET).stat().st_uid):
            raise PermissionError("the socket is another user's")
    except BaseException:
        sock.close()
        raise
    return sock


@dataclass(frozen=True, slots=True)
class Starter:
    """What a sequencer has to be told."""

    place: Place
    key_file: Path
    origin: str
    heartbeat: float = 60.0
    linger: float = LINGER_SECONDS

    @property
    def folder(self) -> Path:
        """Where its socket is."""
        return self.place.folder

    def answers(self) -> bool:
        """Whether a sequencer runs."""
        try:
            connect(self.folder).close()
        except OSError:
            return False
        return True

    def start(self) -> None:
        """Return once a sequencer listens. Raises what it says why it cannot."""
        _STARTED[:] = [child for child in _STARTED if child.poll() is None]
        command = [sys.executable, "-P", "-m", "sovereign.audit.daemon"]
        command += self.place.arguments()
        command += ["--key-file", str(self.key_file.absolute()), "--origin", self.origin]
        command += ["--heartbeat", str(self.heartbeat), "--linger", str(self.linger)]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the gateway; this one has to outlive it
        )
        _STARTED.append(child)
        said = _first_line(child)
        if said.get("ready"):
            return
        until = time.monotonic() + 1.0
        while time.monotonic() < until:  # somebody else was faster
            if self.answers():
                return
            time.sleep(POLL_SECONDS)
        if said.get("code") == ConfigError.code:
            raise ConfigError(str(said["message"]), hint=str(said.get("hint", "")))
        raise wire.raised(said)


def _first_line(child: subprocess.Popen[bytes]) -> dict[str, object]:
    assert child.stdout is not None
    with child.stdout as out:
        line, until = b"", time.monotonic() + START_SECONDS
        while not line.endswith(b"\n") and (left := until - time.monotonic()) > 0:
            if select.select([out], [], [], left)[0]:
                part = os.read(out.fileno(), 4096)
                if not part:
                    break
                line += part
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if type(said) is dict:
            return said
    raise LogUnavailable("audit log: the sequencer did not start")
