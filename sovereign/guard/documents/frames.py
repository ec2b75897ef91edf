"""How the guard and its reading process talk over two pipes: a JSON head and its bytes, each with
its length before it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

from sovereign.types import JSON

__all__ = ["pack", "unpack"]

_LENGTHS = struct.Struct("<II")
MAX_HEAD = 200_000_000


def pack(head: JSON, data: bytes = b"") -> bytes:
    """One frame."""
    raw = json.dumps(head, ensure_ascii=True).encode()
    return _LENGTHS.pack(len(raw), len(data)) + raw + data


def unpack(read: Callable[[int], bytes]) -> tuple[JSON, bytes]:
    """One frame through ``read``, which gives exactly so many bytes or raises EOFError."""
    head, data = _LENGTHS.unpack(read(_LENGTHS.size))
    if head > MAX_HEAD:
        raise EOFError
    return json.loads(read(head)), read(data)
