"""One stream that is compressed: gzip, bzip2, xz, Zstandard. What is inside is read as what it is.

Of a broken or cut-off stream everything before the break is read, and the rest reported.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from sovereign.scan.readers.bounds import Inside
from sovereign.scan.record import Item, Source, Unread

__all__ = ["PackedReader", "unpacked"]

CHUNK = 1 << 16
MEMORY = 256_000_000
"""Bytes that an xz stream may ask for as its dictionary."""

_MAGIC = {
    b"\x1f\x8b\x08": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
_ENDINGS = {".gz", ".bz2", ".xz", ".zst", ".zstd", ".gzip"}


class PackedReader:
    """Reads what :data:`_MAGIC` shows to be compressed."""

    name = "compressed"

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def claims(self, name: str, head: bytes) -> bool:
        return packing(head) != ""

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        """``resume`` is that of the reader of what is inside: both go through the same bytes."""
        name = inner_name(source.name)
        member = self._inside.member(source, name, None, lambda: unpacked(source))
        try:
            yield from self._inside.read(member, resume)
        except ImportError:
            yield Unread(MISSING, resume=resume + 1)


MISSING = "Zstandard is not installed: pip install 'sovereign-toolkit[report]'"


def packing(head: bytes) -> str:
    """How a stream that starts like this is compressed; empty if it is not."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def inner_name(name: str) -> str:
    """``app.log`` of ``app.log.gz``, ``a.tar`` of ``a.tgz``."""
    before, dot, ending = name.rpartition(".")
    if dot and ending.lower() in ("tgz", "txz", "tbz2", "tzst"):
        return before + ".tar"
    return before if dot and f".{ending.lower()}" in _ENDINGS else name


def unpacked(source: Source) -> BinaryIO:
    """The bytes inside. Raises OSError."""
    file = source.open()
    head = file.read(8)
    kind = packing(head)
    again = _Again(head, file)
    if kind == "zst":
        from pyarrow import CompressedInputStream, PythonFile

        return cast(BinaryIO, CompressedInputStream(PythonFile(again, mode="r"), "zstd"))
    return cast(BinaryIO, _Unpacked(again, _MAKE[kind]))


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the manners of the other two."""

    def __init__(self) -> None:
        self._made = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._made.eof

    @property
    def needs_input(self) -> bool:
        return not self._made.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._made.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._made.decompress(self._made.unconsumed_tail + data, max(0, max_length))


_MAKE: dict[str, Callable[[], _Decompressor]] = {
    "gz": _Gzip,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=MEMORY),
}


class _Again(io.RawIOBase):
    """A file of which the head was read already, from its start."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        got, self._head = self._head, b""
        return got or self._file.read(count)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Unpacked(io.RawIOBase):
    """What the streams in a file that follow each other unpack to. Nothing of what comes before a
    break is lost."""

    def __init__(self, file: _Again, make: Callable[[], _Decompressor]) -> None:
        self._file, self._make, self._now = file, make, make()

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        while True:
            data = b""
            if self._now.eof:
                # Zeros pad a tape's block.
                data = (self._now.unused_data or self._file.read(CHUNK)).lstrip(b"\0")
                if not data:
                    return b""
                self._now = self._make()
            elif self._now.needs_input:
                data = self._file.read(CHUNK)
                if not data:
                    raise EOFError
            out = self._now.decompress(data, count)
            if out:
                return out

    def close(self) -> None:
        self._file.close()
        super().close()
