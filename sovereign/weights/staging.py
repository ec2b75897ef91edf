"""Makes a model's folder appear in the store whole or not at all.

Work happens in ``.staging/``, whose folders are locked while their process lives. Whatever a
killed process left there is swept by the next one; nothing outside it was touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sovereign.errors import NotAdmitted, WeightsError

__all__ = ["Progress", "copy", "exclusive", "hash_file", "move_in", "require_space", "staging"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many bytes are done."""

BLOCK = 1 << 22
SPARE = 64 << 20  # bytes that stay free on the store's disk


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
    with os.fdopen(reader, "rb", buffering=0) as src:
        out = target.open("xb") if target else None
        try:
            while block := src.read(BLOCK):
                digest.update(block)
                size += len(block)
                if out:
                    out.write(block)
                if step:
                    step(len(block))
            if out:
                out.flush()
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
        with lock.open("r") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alive.add(lock.stem)
                continue
            lock.unlink()
    for item in folder.iterdir():
        if item.suffix != ".lock" and item.name.split(".")[0] not in alive:
            shutil.rmtree(item, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
