"""Makes a model's folder appear in the store whole or not at all.

Work happens in ``.staging/``, whose folders are locked while their process lives. Whatever a
killed process left there is swept by the next one; nothing outside it was touched. What a pull left
is kept for a week, so that the next one goes on from there.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sovereign.errors import NotAdmitted, WeightsError

__all__ = [
    "Meter",
    "Progress",
    "begin_writing",
    "copy",
    "exclusive",
    "hash_file",
    "kept",
    "move_in",
    "require_space",
    "staging",
    "write_all",
]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many bytes are done."""

BLOCK = 1 << 20  # fits a core's cache, so that hashing does not wait for memory
KEPT = "kept-"
KEPT_S = 7 * 24 * 3600.0
SPARE = 64 << 20  # bytes that stay free on the store's disk


class Meter:
    """Sums up bytes from several threads for one :data:`Progress`."""

    def __init__(self, progress: Progress | None, what: str, total: int) -> None:
        self._progress, self._what, self._total = progress, what, total
        self._done = 0
        self._mutex = threading.Lock()

    def __call__(self, size: int) -> None:
        if self._progress is not None:
            with self._mutex:
                self._done += size
                self._progress(self._what, min(self._done, self._total), self._total)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """One process at a time changes the store's folders and lockfile."""
    with _locked(root / ".lock"):
        yield


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """An empty folder on the store's disk; it and its lock are gone afterwards."""
    folder = root / ".staging"
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(root):
        _sweep(folder)
        lock = Path(tempfile.mkstemp(dir=folder, suffix=".lock")[1])
        handle = lock.open("w")
        fcntl.flock(handle, fcntl.LOCK_EX)
    work = lock.with_suffix("")
    try:
        work.mkdir()
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.unlink(missing_ok=True)
        handle.close()


@contextmanager
def kept(root: Path, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A folder for ``key`` on the store's disk that outlives a failure or the death of its process,
    with all that is in it. Two processes take turns; ``waiting`` is called if it is not ours yet.
    It is removed when the block ends well."""
    folder = root / ".staging"
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / f"{KEPT}{hashlib.sha256(key.encode()).hexdigest()[:24]}"
    with _held(work.with_suffix(".lock"), waiting) as lock:
        work.mkdir(exist_ok=True)
        yield work
        shutil.rmtree(work, ignore_errors=True)
        lock.unlink(missing_ok=True)


@contextmanager
def _held(lock: Path, waiting: Callable[[], None]) -> Iterator[Path]:
    while True:
        with lock.open("w") as handle:  # anew each time, so its age is that of the last try
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Who was before us may have removed the file that we waited for.
            if not lock.exists() or not os.path.samestat(lock.stat(), os.fstat(handle.fileno())):
                continue
            yield lock
            return


def require_space(root: Path, size: int) -> None:
    """Raises :class:`WeightsError` before anything is written if ``size`` bytes do not fit."""
    free = shutil.disk_usage(root).free
    if free < size + SPARE:
        raise WeightsError(
            f"{root}: {(size + SPARE) / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free",
            hint="free some space, or set [weights] store to a folder on another disk",
        )


def hash_file(file: Path, step: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Size and SHA-256 (hex) of a regular file that is no link; ``step`` gets bytes as they go."""
    return _pump(file, None, step)


def copy(source: Path, target: Path, step: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Copy durably, and return size and SHA-256 of what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return _pump(source, target, step)


def write_all(out: io.FileIO, block: bytes | memoryview) -> None:
    """Write the whole of ``block`` to an unbuffered file, which may take a part at a time."""
    rest = memoryview(block)
    while rest:
        rest = rest[out.write(rest) :]


def begin_writing(out: Any, start: int, stop: int) -> None:
    """Have the kernel write these bytes to the disk now, beside what else is done, and wait for
    nothing: else all is waited for in the end, when the file is made durable.

    mm/fadvise.c: DONTNEED starts the writing of what is dirty; what is being written stays cached.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(out.fileno(), start, stop - start, os.POSIX_FADV_DONTNEED)


def move_in(work: Path, target: Path) -> None:
    """Put the finished folder ``work`` at ``target``: synced first, then one rename."""
    for file in sorted(p for p in work.rglob("*") if p.is_file()):
        file.chmod(0o444)
        _sync(file)
    for folder in [work, *(p for p in work.rglob("*") if p.is_dir())]:
        folder.chmod(0o755)
        _sync(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # what a killed import left, or what somebody changed: out of the way
        target.rename(work.with_suffix(".old"))
    work.rename(target)
    _sync(target.parent)
    shutil.rmtree(work.with_suffix(".old"), ignore_errors=True)


def _pump(source: Path, target: Path | None, step: Callable[[int], None] | None) -> tuple[int, str]:
    try:
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        raise NotAdmitted(f"{source.name}: cannot be read: {e.strerror}") from None
    digest, size = hashlib.sha256(), 0
    # Each thread reads into one buffer of its own; hashlib lets go of the interpreter meanwhile.
    buffer = memoryview(bytearray(BLOCK))
    with os.fdopen(reader, "rb", buffering=0) as src:
        out = target.open("xb", buffering=0) if target else None
        try:
            while count := src.readinto(buffer):
                block = buffer[:count]
                digest.update(block)
                size += count
                if out:
                    write_all(out, block)
                if step:
                    step(count)
            if out:
                os.fsync(out.fileno())
        finally:
            if out:
                out.close()
    return size, digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sweep(folder: Path) -> None:
    """Remove what dead processes left: their locks can be taken."""
    alive: set[str] = set()
    for lock in folder.glob("*.lock"):
        try:
            handle = lock.open("r")
        except FileNotFoundError:
            continue  # another process has just finished
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alive.add(lock.stem)
                continue
            young = time.time() - os.fstat(handle.fileno()).st_mtime < KEPT_S
            if lock.name.startswith(KEPT) and young:
                alive.add(lock.stem)
                continue
            lock.unlink(missing_ok=True)
    for item in folder.iterdir():
        if item.suffix != ".lock" and item.name.split(".")[0] not in alive:
            shutil.rmtree(item, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
