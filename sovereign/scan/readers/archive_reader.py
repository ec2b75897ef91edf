"""ZIP and tar: every member read as what it is, to a bounded depth. Nothing is unpacked to a disk.
A large ZIP archive is cut between members.

Links, folders and devices hold nothing. What is encrypted or damaged is reported, member by member.
"""

from __future__ import annotations

import io
import lzma
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

from sovereign.scan.readers.bounds import HELD, Inside, Member, once, seekable
from sovereign.scan.readers.cuts import Cut, spaced
from sovereign.scan.record import Item, Source, Unread
from sovereign.scan.source import DAMAGE, BytesSource, Slice, cause

__all__ = ["TarReader", "ZipReader", "members_of"]

MOST = 100_000
"""Members of one archive."""
_BROKEN = (*DAMAGE, zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError)


class ZipReader:
    """ZIP archives that are no Office files. ``resume`` counts items over all members; of a slice,
    from its first byte on."""

    name = "zip"

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def claims(self, name: str, head: bytes) -> bool:
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        begin = source.begin if isinstance(source, Slice) else 0
        return _counted(self._items(source), resume, begin)

    def grows(self, source: Source) -> bool:
        return False

    def cuts(self, source: Source, step: int) -> list[Cut]:
        """The byte at which a member starts; each has lines of its own."""
        try:
            with seekable(source) as file, zipfile.ZipFile(file) as archive:
                starts = sorted({info.header_offset for info in archive.infolist()})
        except _BROKEN:
            return []
        return [] if len(starts) > MOST else spaced(((byte, 1) for byte in starts), step)

    def _items(self, source: Source) -> Iterator[Item]:
        part = source if isinstance(source, Slice) else None
        begin, stop = (part.begin, part.stop or sys.maxsize) if part else (0, sys.maxsize)
        try:
            with seekable(part.whole if part else source) as file, zipfile.ZipFile(file) as archive:
                for number, info in enumerate(archive.infolist()):
                    if not begin <= info.header_offset < stop:
                        continue
                    if number >= MOST:
                        yield Unread(f"an archive of more than {MOST} members")
                        return
                    if not info.is_dir():
                        yield from self._member(source, archive, info)
        except _BROKEN as e:
            yield Unread(_why(e))

    def _member(
        self, source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo
    ) -> Iterator[Item]:
        name = info.filename
        if info.flag_bits & 1:
            yield Unread("an encrypted member of an archive", member=name)
            return

        def opener() -> BinaryIO:
            try:
                return cast(BinaryIO, _Checked(archive.open(info)))
            except _BROKEN as e:
                raise OSError from e

        member = self._inside.member(source, name, None, opener)
        yield from members_of(self._inside, member)


class TarReader:
    """tar archives, also those that are compressed. ``resume`` counts items over all members."""

    name = "tar"

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def claims(self, name: str, head: bytes) -> bool:
        return head[257:262] == b"ustar" or (name.lower().endswith(".tar") and _old_tar(head))

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]:
        return _counted(self._items(source), resume)

    def _items(self, source: Source) -> Iterator[Item]:
        try:
            with source.open() as file, tarfile.open(fileobj=file, mode="r|") as archive:
                for number, info in enumerate(archive):
                    archive.members = []  # type: ignore[attr-defined] # or it keeps them all
                    if number >= MOST:
                        yield Unread(f"an archive of more than {MOST} members")
                        return
                    held = archive.extractfile(info) if info.isreg() else None
                    if held is not None:
                        yield from self._member(source, held, info)
        except _BROKEN as e:
            yield Unread(_why(e))

    def _member(self, source: Source, file: IO[bytes], info: tarfile.TarInfo) -> Iterator[Item]:
        opener = once(cast(BinaryIO, file))
        if info.size <= HELD // 4:
            data = file.read()
            opener = BytesSource(info.name, data).open
        member = self._inside.member(source, info.name, info.size, opener)
        yield from members_of(self._inside, member)


def members_of(inside: Inside, member: Member) -> Iterator[Item]:
    """What is read of ``member``, with its name before what lies inside it."""
    for item in inside.read(member):
        below = f"{member.name}!/{item.member}" if item.member else member.name
        yield item._replace(member=below)


def _counted(items: Iterator[Item], resume: int, begin: int = 0) -> Iterator[Item]:
    for number, item in enumerate(items, begin + 1):
        if number > resume:
            yield item._replace(resume=number)


def _old_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "replace")
        return True
    except tarfile.TarError:
        return False


def _why(error: BaseException) -> str:
    if isinstance(error, DAMAGE) and not isinstance(error, ValueError):
        return cause(error)
    return "a damaged archive: what follows was not read"


class _Checked(io.RawIOBase):
    """A member of a ZIP whose mistakes are those of a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, count: int = -1) -> bytes:
        try:
            return self._file.read(count)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as e:
            raise OSError from e

    def close(self) -> None:
        self._file.close()
        super().close()
