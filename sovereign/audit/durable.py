"""Writes a small file whole or not at all, and durably. It knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path

from sovereign.errors import LogUnavailable

__all__ = ["locked", "staged", "sync_names", "write_whole"]


def write_whole(file: Path, content: bytes, *, mode: int = 0o644, name: bool = True) -> None:
    """Put ``content`` into ``file``: staged beside it, fsynced, renamed. Makes its folder.

    Without ``name`` the file's name is durable only after :func:`sync_names` of its folder.
    Raises :class:`LogUnavailable`; then ``file`` is as it was.
    """
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        staged.unlink(missing_ok=True)
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        staged.replace(file)
        if name:
            sync_names(file.parent)
    except OSError as e:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise LogUnavailable(f"{file}: {e.strerror}") from None


@contextlib.contextmanager
def staged(file: Path) -> Iterator[io.BufferedRandom]:
    """A file to write to, and read back, that takes the name ``file`` when all went well; only its
    owner may read it. For what is too large to be held whole. Raises :class:`LogUnavailable`."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
            aside.replace(file)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        sync_names(file.parent)
    except OSError as e:
        raise LogUnavailable(f"{file}: {e.strerror}") from None


def sync_names(folder: Path) -> None:
    """Make the names in ``folder`` durable. Raises :class:`LogUnavailable`."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as e:
        raise LogUnavailable(f"{folder}: {e.strerror}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time is inside, per ``folder``. The lock dies with its process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as e:
        raise LogUnavailable(f"{folder}: {e.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
