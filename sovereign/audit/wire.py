"""What a sequencer and its clients say to each other over a Unix socket: frames, and nothing else.

A frame is four bytes of length (big-endian), one of kind, and a payload. A client says HELLO and is
answered WELCOME; then it sends a RECORD per frame and gets an ACK for each run of them that became
durable. GOODBYE asks for a last checkpoint and is answered with the same. ERROR is the last frame
of a connection: nothing that was not acknowledged before it is promised.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sovereign.audit.record import MAX_BYTES, VERSION
from sovereign.audit.schema import SCHEMA
from sovereign.errors import AuditError, LogTampered, LogUnavailable, RecordRejected

__all__ = [
    "ACK",
    "ERROR",
    "GOODBYE",
    "HELLO",
    "RECORD",
    "SOCKET",
    "WELCOME",
    "address",
    "error_of",
    "frame",
    "frames",
    "json_frame",
    "pack_ack",
    "peer_uid",
    "protocol",
    "raised",
    "unpack_ack",
]

SOCKET = "log.sock"
"""The socket's name in the log's folder."""

HELLO, WELCOME, RECORD, ACK, ERROR, GOODBYE = b"H", b"W", b"R", b"A", b"E", b"G"
_HEAD: Final = struct.Struct(">Ic")
_ACK: Final = struct.Struct(">QQII")
MAX_PAYLOAD: Final = MAX_BYTES


def protocol() -> str:
    """A digest of what both sides must agree on: this module's version and the records' schema."""
    fields = {
        kind: {name: f.says + ("?" if f.optional else "") for name, f in of.items()}
        for kind, of in SCHEMA.items()
    }
    said = json.dumps([2, VERSION, fields], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return _HEAD.pack(len(payload), kind) + payload


def json_frame(kind: bytes, **fields: Any) -> bytes:
    return frame(kind, json.dumps(fields).encode())


def frames(buffer: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """The whole frames at the head of ``buffer``, which are taken out of it. ValueError if what is
    there is no frame."""
    at = 0
    try:
        while len(buffer) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(buffer, at)
            if length > MAX_PAYLOAD:
                raise ValueError("a frame is too long")
            end = at + _HEAD.size + length
            if len(buffer) < end:
                break
            payload = bytes(buffer[at + _HEAD.size : end])
            at = end
            yield kind, payload
    finally:
        del buffer[:at]


def pack_ack(seq: int, index: int, count: int, log: int = 1) -> bytes:
    """``count`` records from number ``seq`` on stand at ``index`` and after in log ``log``."""
    return frame(ACK, _ACK.pack(seq, index, count, log))


def unpack_ack(payload: bytes) -> tuple[int, int, int, int]:
    seq, index, count, log = _ACK.unpack(payload)
    return seq, index, count, log


_ERRORS: Final[dict[str, type[AuditError]]] = {
    kind.code: kind for kind in (LogTampered, LogUnavailable, RecordRejected)
}


def error_of(error: AuditError) -> dict[str, str]:
    """An error as JSON. Its words name files and fields, never what is in a record."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def raised(fields: dict[str, Any]) -> AuditError:
    """The error that :func:`error_of` wrote down. One we do not know is that the log is not there
    for us."""
    kind = _ERRORS.get(str(fields.get("code")), LogUnavailable)
    return kind(str(fields.get("message", "")), hint=str(fields.get("hint", "")))


class address:
    """A context manager: a name for ``folder / name`` that fits into a socket address.

    An address holds 107 bytes, and folders are often deeper. A descriptor's name is short.
    """

    def __init__(self, folder: Path, name: str = SOCKET) -> None:
        self._folder, self._name = folder, name

    def __enter__(self) -> str:
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}/{self._name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def peer_uid(sock: socket.socket) -> int:
    """Who is at the other end, as the kernel says."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)
