"""Where bytes come from: a file, bytes in memory, or whatever can be opened; and the one way in
which readers take them, in which nothing that goes wrong below is an exception, and nothing is
silent.

A source is only ever read. What it holds is written nowhere.
"""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from sovereign.scan.record import Source

__all__ = [
    "DAMAGE",
    "HEAD",
    "LONGEST",
    "OVERLAP",
    "Bytes",
    "BytesSource",
    "FileSource",
    "Held",
    "OpenedSource",
    "Slice",
    "Stream",
    "Uncut",
    "head_of",
    "line_of",
]

LONGEST, OVERLAP = 32_768, 4_096
"""Code points of one field, and of those how many stand in the next piece again. The guard cuts
texts at the same length: an overlap is longer than anything that a recogniser finds."""

HEAD = 8_192
"""Bytes that decide what a source is."""

DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
"""What reading bytes raises because of what they are, or because they cannot be had."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file as it is when the scan comes to it: what is appended later is for the next scan."""

    path: Path
    size: int | None = None

    @classmethod
    def of(cls, path: Path) -> FileSource:
        """With the size that it has now. Raises OSError."""
        return cls(path, path.stat().st_size or None)

    @property
    def name(self) -> str:
        return str(self.path)

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class Slice:
    """Some records of a file that is a row of them: from byte ``begin``, where record or line
    number ``line`` starts, up to byte ``stop``; to the end without one. What tells how the file is
    to be read is where it was still."""

    whole: FileSource
    begin: int
    stop: int | None
    line: int

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def size(self) -> int | None:
        end = self.whole.size if self.stop is None else self.stop
        return None if end is None else end - self.begin

    def open(self) -> BinaryIO:
        file = self.whole.open()
        file.seek(self.begin)
        return file


def line_of(source: Source) -> int:
    """The number of its first line."""
    return source.line if isinstance(source, Slice) else 1


class Uncut(Exception):
    """A slice does not end where a record does: the file has to be read as a whole."""


@dataclass(frozen=True, slots=True)
class BytesSource:
    """A member that was small enough to hold."""

    name: str
    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """Anything with a way to open it anew: an object in a bucket, a member of an archive."""

    name: str
    size: int | None
    opener: Callable[[], BinaryIO] = field(repr=False)

    def open(self) -> BinaryIO:
        return self.opener()


class Bytes(Protocol):
    """What a reader takes bytes from. ``offset`` counts those that were taken."""

    @property
    def offset(self) -> int: ...

    @property
    def failure(self) -> str: ...

    def read(self, count: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Held:
    """No more bytes than those that are held already, which end at ``offset``."""

    offset: int
    failure: str = ""

    def read(self, count: int) -> bytes:
        return b""


class Stream:
    """The bytes of a source from its start, once. ``offset``: how many were handed out, and those
    before a slice.
    ``failure``: why no more come, in words that quote nothing; empty at the regular end.

    It ends where the source ended when its size was taken, and says so if it ends before."""

    def __init__(self, source: Source) -> None:
        self.offset = source.begin if isinstance(source, Slice) else 0
        self.failure = ""
        self._left = source.size
        self._file: BinaryIO | None = None
        try:
            self._file = source.open()
        except DAMAGE as e:
            self.failure = cause(e)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes, or what is left."""
        pieces: list[bytes] = []
        while count > 0 and not self.failure and self._file is not None:
            wanted = count if self._left is None else min(count, self._left)
            if not wanted:
                break
            try:
                piece = self._file.read(wanted)
            except DAMAGE as e:
                self.failure = cause(e)
                break
            if not piece:
                if self._left:
                    self.failure = "it became shorter while it was read"
                break
            if self._left is not None:
                self._left -= len(piece)
            self.offset += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, count: int) -> None:
        """Go on ``count`` bytes further."""
        while count > 0 and (got := self.read(min(count, 1 << 20))):
            count -= len(got)


def head_of(source: Source) -> tuple[bytes, str]:
    """The first bytes, by which a reader is chosen, and why there are none if there are none; of a
    slice those of its file."""
    with Stream(source.whole if isinstance(source, Slice) else source) as stream:
        return stream.read(HEAD), stream.failure


def cause(error: BaseException) -> str:
    """What an error means. Its own words could quote what was read, so they are never used."""
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words
    return "damaged"


class Bomb(OSError):
    """What unpacks to suspiciously much."""


class TooLarge(OSError):
    """What can only be read from several places at once, and is too large to be held for that."""


_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (Bomb, "it unpacks to suspiciously much, so the rest was not unpacked"),
    (TooLarge, "it is too large to be held in memory, and cannot be read otherwise in there"),
    (PermissionError, "no permission to read it"),
    (FileNotFoundError, "it was gone when it was to be read"),
    (IsADirectoryError, "it is a folder"),
    (EOFError, "it is cut off"),
    (zlib.error, "its compression is damaged"),
    (lzma.LZMAError, "its compression is damaged"),
    (OSError, "it could not be read"),
)
