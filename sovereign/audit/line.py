"""A client's connection to a sequencer: the greeting, and then frames both ways."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
from pathlib import Path

from sovereign.audit import wire
from sovereign.audit.starting import connect
from sovereign.errors import LogUnavailable

__all__ = ["Line"]

READ = 1 << 16
GREETING_SECONDS = 5.0
SEND_SECONDS = 2.5


class Line:
    """An open, greeted connection. One thread at a time receives, and sends: the caller has a lock
    for each."""

    def __init__(self, sock: socket.socket, welcome: dict[str, object], rest: bytearray) -> None:
        self.next = int(str(welcome["next"]))
        self.vkey = str(welcome["vkey"])
        self.size, self.covered = int(str(welcome["size"])), int(str(welcome["covered"]))
        self.root = str(welcome["root"])
        self.ended = False
        self._sock = sock
        self._in = rest
        self._unread = bool(rest)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    @classmethod
    def connect(cls, folder: Path, source: str, *, oldest: int, new: bool) -> Line:
        """Greet the sequencer of the log in ``folder``. ``oldest`` is the first number that it has
        not acknowledged. OSError if there is none; what it refuses with, if it does."""
        sock = connect(folder)
        try:
            sock.settimeout(GREETING_SECONDS)
            hello = {"protocol": wire.protocol(), "source": source, "oldest": oldest, "new": new}
            sock.sendall(wire.json_frame(wire.HELLO, **hello))
            buffer = bytearray()
            while True:
                for kind, payload in wire.frames(buffer):
                    if kind == wire.ERROR:
                        raise wire.raised(json.loads(payload))
                    if kind != wire.WELCOME:
                        raise ConnectionError("no welcome")
                    sock.settimeout(None)
                    limit = struct.pack("@ll", *divmod(int(SEND_SECONDS * 1e6), 10**6))
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
                    return cls(sock, json.loads(payload), buffer)
                data = sock.recv(READ)
                if not data:
                    raise ConnectionError("no welcome")
                buffer += data
        except ValueError:
            sock.close()
            raise ConnectionError("no welcome") from None
        except BaseException:
            sock.close()
            raise

    def send(self, frames: bytes) -> None:
        """An error is not raised: whoever receives will see the end, and send again. Nor is waited
        longer than :data:`SEND_SECONDS` for a sequencer that reads nothing."""
        try:
            self._sock.sendall(frames)
        except OSError:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # half of it may have gone

    def goodbye(self) -> None:
        self.send(wire.frame(wire.GOODBYE))

    def wait(self, timeout: float) -> None:
        """Until there is something to receive, for ``timeout`` seconds at most."""
        came_with_the_welcome, self._unread = self._unread, False
        if not came_with_the_welcome:
            self._poll.poll(timeout * 1000)

    def duplicate(self) -> int:
        """A descriptor that is readable when there is something to receive, and once the line is
        closed."""
        return os.dup(self._sock.fileno())

    def receive(self) -> list[tuple[int, int, int, int]]:
        """The acknowledgements (number, index, count, log) that have come. Does not wait.

        OSError when the connection has ended, and what it ended with if it said so.
        """
        acks = self._acks()
        if acks:
            return acks
        try:
            data = self._sock.recv(READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return acks
        if not data:
            raise ConnectionError("the sequencer has gone")
        self._in += data
        return self._acks()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # whoever has a duplicate is told, too
        self._sock.close()

    def _acks(self) -> list[tuple[int, int, int, int]]:
        acks = []
        try:
            for kind, payload in wire.frames(self._in):
                if kind == wire.ACK:
                    acks.append(wire.unpack_ack(payload))
                elif kind == wire.GOODBYE:
                    self.ended = True
                elif kind == wire.ERROR:
                    raise wire.raised(json.loads(payload))
                else:
                    raise ConnectionError("what the sequencer says is not understood")
        except ValueError:
            raise LogUnavailable("audit log: the sequencer is not understood") from None
        return acks
