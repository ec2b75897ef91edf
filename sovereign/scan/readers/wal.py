"""SQLite's write-ahead log, applied to a copy of the database in memory.

Format: https://sqlite.org/walformat.html. Only what was committed counts; a frame whose checksum is
wrong ends the log, as it does for SQLite.
"""

from __future__ import annotations

import struct

__all__ = ["applied"]

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")


def applied(data: bytes, log: bytes) -> bytearray:
    """The database as its readers would see it, in a form that needs no log."""
    pages = bytearray(data)
    if len(log) > _HEADER.size:
        _apply(pages, log)
    # 1: it is no longer a database that has a log, so SQLite looks for none.
    pages[18:20] = b"\x01\x01"
    return pages


def _apply(pages: bytearray, log: bytes) -> None:
    magic, _, size, _, salt1, salt2, *_ = _HEADER.unpack_from(log)
    if magic & ~1 != 0x377F0682 or size < 512 or size & (size - 1):
        return
    order = ">" if magic & 1 else "<"
    sums = _sum(order, log[:24], (0, 0))
    held: dict[int, int] = {}
    for at in range(_HEADER.size, len(log) - _FRAME.size - size + 1, _FRAME.size + size):
        number, commit, one, two, *wanted = _FRAME.unpack_from(log, at)
        body = at + _FRAME.size
        sums = _sum(order, log[at : at + 8], sums)
        sums = _sum(order, log[body : body + size], sums)
        if (one, two) != (salt1, salt2) or list(sums) != wanted:
            return
        held[number] = body
        if commit:
            if len(pages) < commit * size:
                pages.extend(bytes(commit * size - len(pages)))
            for page, place in held.items():
                pages[(page - 1) * size : page * size] = log[place : place + size]
            del pages[commit * size :]
            held = {}


def _sum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
