"""What is read inside something else: by which reader, how deep, and how much it may unpack to."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from sovereign.scan.record import Item, Reader, Source, Unread
from sovereign.scan.source import HEAD, Bomb, Stream, TooLarge, head_of

__all__ = ["DEPTH", "RATIO", "UNPACKED", "Inside", "Member", "once", "seekable"]

DEPTH = 5
"""Containers inside each other: a table in a mail in an archive that is compressed is three."""
RATIO, UNPACKED = 1000, 100_000_000
"""More than so many times the file, once it is more than so many bytes, is a bomb."""


class _Meter:
    """Bytes that came out of the containers of one file, at every depth."""

    __slots__ = ("_left",)

    def __init__(self, size: int | None) -> None:
        self._left = max(UNPACKED, RATIO * (size or 0))

    def count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Bomb


@dataclass(frozen=True, slots=True)
class Member:
    """A source inside another one."""

    name: str
    size: int | None
    depth: int
    meter: _Meter = field(repr=False)
    opener: Callable[[], BinaryIO] = field(repr=False)

    def open(self) -> BinaryIO:
        return cast(BinaryIO, _Metered(self.opener(), self.meter))


class Inside:
    """Reads members of ``outer`` by the reader that ``choose`` gives for a name and a head."""

    def __init__(self, choose: Callable[[str, bytes], Reader]) -> None:
        self._choose = choose

    def member(
        self, outer: Source, name: str, size: int | None, opener: Callable[[], BinaryIO]
    ) -> Member:
        """A member of ``outer``, on the bounds of the file that ``outer`` is in."""
        if isinstance(outer, Member):
            return Member(name, size, outer.depth + 1, outer.meter, opener)
        return Member(name, size, 1, _Meter(outer.size), opener)

    def read(self, member: Member, resume: int = 0) -> Iterator[Item]:
        """What its own reader says of it; ``member`` of the items is what lies inside it."""
        if member.depth > DEPTH:
            yield Unread(f"containers nested deeper than {DEPTH}", resume=resume + 1)
            return
        head, failure = head_of(member)
        if failure and not head:
            yield Unread(failure, resume=resume + 1)
            return
        yield from self._choose(member.name, head).read(member, resume)


HELD = 48_000_000
"""Bytes of a member that are held in memory, where its format is read from several places."""


@contextlib.contextmanager
def seekable(source: Source) -> Iterator[BinaryIO]:
    """``source`` opened so that it can be read from anywhere. Raises OSError."""
    with source.open() as file:
        if file.seekable():
            yield file
            return
        with Stream(source) as stream:
            data = stream.read(HELD + 1)
            if stream.failure:
                raise EOFError
            if len(data) > HELD:
                raise TooLarge
        yield io.BytesIO(data)


class _Metered(io.RawIOBase):
    """A file of which every byte that is read is counted."""

    def __init__(self, file: BinaryIO, meter: _Meter) -> None:
        self._file, self._meter = file, meter

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, count: int = -1) -> bytes:
        got = self._file.read(count)
        self._meter.count(len(got))
        return got

    def close(self) -> None:
        self._file.close()
        super().close()


def once(file: BinaryIO) -> Callable[[], BinaryIO]:
    """A way to open ``file``, which cannot go back, anew as long as nothing but its head was
    read. Opening it later raises OSError."""
    return _Once(file).open


class _Once:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._head = b""
        self._past = False

    def open(self) -> BinaryIO:
        if self._past:
            raise io.UnsupportedOperation
        return cast(BinaryIO, _Rewound(self))

    def take(self, place: int, count: int) -> bytes:
        if place < HEAD:
            while len(self._head) < HEAD:
                more = self._file.read(HEAD - len(self._head))
                if not more:
                    break
                self._head += more
            if place < len(self._head):
                return self._head[place : place + count]
        self._past = True
        return self._file.read(count)


class _Rewound(io.RawIOBase):
    def __init__(self, once: _Once) -> None:
        self._once, self._place = once, 0

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        got = self._once.take(self._place, count if count >= 0 else 1 << 20)
        self._place += len(got)
        return got
