"""What happened while there was no sequencer, kept on disk until there is one: bounded and fsynced.

It never promises anything to anybody: a record is acknowledged once it is in the log, and nothing
leaves on the strength of a spool. It is for what has happened already (a result, a refusal), so
that the death of the process that knows of it does not lose it. One file per source, locked by the
process that writes it; a file that nobody has locked was left behind, and is taken in by the next
sequencer.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sovereign.audit.durable import sync_names
from sovereign.audit.record import MAX_BYTES
from sovereign.errors import LogUnavailable

__all__ = ["FOLDER", "MAX_RECORDS", "Left", "Spool", "left_behind"]

FOLDER = "spool"
MAX_RECORDS = 4096
MAX_SPOOL_BYTES = 2 * MAX_RECORDS * 1024
_CHECK = 16


def _line(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:_CHECK].encode() + b" " + data + b"\n"


class Spool:
    """The file of one source. It is made by the first :meth:`add`, and gone after :meth:`clear`."""

    def __init__(self, folder: Path, source: str) -> None:
        self._file = folder / FOLDER / source.replace("/", "_")
        self._descriptor: int | None = None
        self._bytes = 0
        self.records = 0

    def add(self, finished: Sequence[bytes]) -> None:
        """Durable on return. Raises :class:`LogUnavailable` when it is full, or the disk is."""
        data = b"".join(map(_line, finished))
        over = self._bytes + len(data) > MAX_SPOOL_BYTES
        if over or self.records + len(finished) > MAX_RECORDS:
            raise LogUnavailable("audit log: no sequencer, and the spool is full")
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError as e:
            self._cut()
            raise LogUnavailable(
                f"audit log: no sequencer, and the spool cannot be written: {e.strerror}"
            ) from None
        self._bytes += len(data)
        self.records += len(finished)

    def clear(self) -> None:
        """All of it is in the log now. Idempotent. If the file cannot be removed, the next
        sequencer finds that it knows what is in there."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            self._file.unlink()
        self.close()

    def close(self) -> None:
        """Leave the file, if there is one, to the next sequencer. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._bytes, self.records = None, 0, 0

    def _open(self) -> int:
        folder = self._file.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while True:
            descriptor = os.open(self._file, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_nlink:
                    sync_names(folder)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # a sequencer looked in between, and took it for left behind

    def _cut(self) -> None:
        """What was written in part must not stand before what is written next."""
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, self._bytes)
            except OSError:
                self.close()


@dataclass(frozen=True, slots=True)
class Left:
    """A spool that nobody writes any more: its whole records in order, and how many lines are not
    whole. A last line that was cut off is not counted: it was never durable."""

    file: Path
    records: tuple[bytes, ...]
    damaged: int
    descriptor: int

    def remove(self) -> None:
        """Its records are in the log. If it cannot be removed, they are known the next time."""
        with contextlib.suppress(OSError):
            self.file.unlink()
        self.close()

    def close(self) -> None:
        """They are not; somebody else may try."""
        os.close(self.descriptor)


def left_behind(folder: Path) -> Iterator[Left]:
    """The spools under ``folder`` whose writers are gone. Each is locked until it is removed, or
    until this process ends."""
    there = folder / FOLDER
    if not there.is_dir():
        return
    for file in sorted(there.iterdir()):
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = _read(file, descriptor)
        except OSError:
            os.close(descriptor)  # its writer lives, or it cannot be read
            continue
        yield left


def _read(file: Path, descriptor: int) -> Left:
    with os.fdopen(os.dup(descriptor), "rb") as opened:
        lines = opened.read(MAX_SPOOL_BYTES + MAX_BYTES).split(b"\n")
    whole, damaged = [], 0
    for line in lines[:-1]:  # what follows the last line break was cut off
        data = line[_CHECK + 1 :]
        if _line(data) == line + b"\n":
            whole.append(data)
        else:
            damaged += 1
    return Left(file, tuple(whole), damaged, descriptor)
