"""One client of a sequencer: its socket, what it has sent, and what it has yet to be told."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from typing import NamedTuple

from sovereign.audit import record as records
from sovereign.audit import wire
from sovereign.errors import LogUnavailable, RecordRejected

__all__ = ["Entry", "Peer"]

READ = 1 << 18
MAX_OUT = 1 << 20


class Entry(NamedTuple):
    """A checked record that waits for its transaction."""

    seq: int
    data: bytes


class Peer:
    """``next`` is the number that its next record must have."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.source: str | None = None
        self.next = 0
        self.entries: list[Entry] = []
        self.awaited = False
        """Whether somebody may be waiting for one of them: a result has happened already."""
        self.out = bytearray()
        self.events = selectors.EVENT_READ
        self.leaving = False
        # The same one for each read: to ask the kernel for so much and to give it back took as long
        # as all else that is done for a record before its transaction.
        self._room = memoryview(bytearray(READ))
        self._in = bytearray()

    def receive(self) -> bool:
        """Read once, what there is. False at the end of what it sends."""
        try:
            size = self.sock.recv_into(self._room)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._in += self._room[:size]
        return size > 0

    def frames(self) -> Iterator[tuple[bytes, bytes]]:
        return wire.frames(self._in)

    def take(self, data: bytes) -> None:
        """Check a record. Raises :class:`RecordRejected`, or :class:`LogUnavailable` if it is not
        this source's next."""
        source, seq, kind = records.read(data)
        if source != self.source:
            raise RecordRejected("a record names another source than its sender")
        if seq != self.next:
            raise LogUnavailable("audit log: a record came out of its order")
        self.next += 1
        self.entries.append(Entry(seq, data))
        self.awaited |= kind != "request.result"

    def send(self) -> bool:
        """Send what can be sent now. False if there is nobody who reads it."""
        try:
            while self.out:
                del self.out[: self.sock.send(self.out)]
        except BlockingIOError:
            return len(self.out) <= MAX_OUT
        except OSError:
            return False
        return True
