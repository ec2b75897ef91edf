"""Places where a log is published: a folder, or a bucket that speaks S3. Both hold named bytes.

Whoever publishes writes tiles first and the checkpoint last; a shelf only has to keep that order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sovereign.audit.durable import locked, sync_names, write_whole
from sovereign.audit.tiles import folder
from sovereign.errors import LogTampered

__all__ = ["ELSEWHERE", "FolderShelf", "Shelf"]

ELSEWHERE = "publish to a new place, and keep this one as it is: it is evidence"


class Shelf(Protocol):
    """Named bytes under one prefix. Errors are :class:`LogUnavailable`, or :class:`LogTampered` if
    something is there already and says otherwise."""

    @property
    def name(self) -> str:
        """For people."""

    def under(self, part: str) -> Shelf:
        """The same place, one level down."""

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else publishes here meanwhile; or if the place cannot promise that, the second
        checkpoint is refused."""

    def get(self, name: str) -> bytes | None:
        """What is there; None if nothing is."""

    def add(self, name: str, data: bytes) -> bool:
        """Put a resource that never changes. False if the same is there already."""

    def put(self, name: str, data: bytes) -> None:
        """Put or replace the checkpoint, after all that was added is durable."""

    def drop(self, prefix: str) -> None:
        """Remove everything under ``prefix``; that it stays does no harm."""


class FolderShelf:
    """Files under a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fetch = folder(path)
        self._touched: set[Path] = set()

    @property
    def name(self) -> str:
        return str(self._path)

    def under(self, part: str) -> FolderShelf:
        return FolderShelf(self._path / part)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with locked(self._path):
            yield

    def get(self, name: str) -> bytes | None:
        return self._fetch(name)

    def add(self, name: str, data: bytes) -> bool:
        file = self._path / name
        if file.exists():
            if file.read_bytes() != data:
                raise LogTampered(f"{file} is there already, and says otherwise", hint=ELSEWHERE)
            return False
        write_whole(file, data, name=False)
        self._touched.update(p for p in file.parents if p == self._path or self._path in p.parents)
        return True

    def put(self, name: str, data: bytes) -> None:
        for folder_ in sorted(self._touched):
            sync_names(folder_)
        self._touched.clear()
        write_whole(self._path / name, data)

    def drop(self, prefix: str) -> None:
        with contextlib.suppress(OSError):
            gone = self._path / prefix
            for file in gone.iterdir():
                file.unlink()
            gone.rmdir()
