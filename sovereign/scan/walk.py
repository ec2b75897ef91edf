"""What there is to scan below some paths, in an order that is the same each time.

Nothing is opened here. What cannot be scanned is named with the reason, never passed over.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Found", "Skipped", "walk"]


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when it was listed. ``changed`` is its mtime in nanoseconds."""

    path: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is not scanned, and why."""

    path: str
    reason: str


def walk(paths: Iterable[Path], leave: Iterable[Path] = ()) -> Iterator[Found | Skipped]:
    """Every regular file at or below ``paths``, links followed, each file once, sorted by name.
    ``leave`` are folders that are not entered: where the scan itself writes."""
    seen: set[tuple[int, int]] = set()
    left = {_same(path) for path in leave}
    for path in paths:
        yield from _below(path, seen, left)


def _same(path: Path) -> tuple[int, int]:
    try:
        info = path.stat()
    except OSError:
        return (-1, -1)
    return info.st_dev, info.st_ino


def _below(
    path: Path, seen: set[tuple[int, int]], leave: set[tuple[int, int]]
) -> Iterator[Found | Skipped]:
    waiting = [path]
    while waiting:
        here = waiting.pop()
        try:
            str(here).encode()
        except UnicodeEncodeError:
            name = str(here).encode(errors="backslashreplace").decode()
            yield Skipped(name, "its name is not UTF-8")
            continue
        try:
            info = here.stat()
        except OSError as e:
            yield Skipped(str(here), _why(here, e))
            continue
        identity = (info.st_dev, info.st_ino)
        if identity in seen:
            # A second name of what was listed, or a link back to a folder above.
            if here.is_symlink():
                yield Skipped(str(here), "a link to what is scanned elsewhere")
            continue
        if stat.S_ISDIR(info.st_mode):
            if identity in leave:
                continue
            seen.add(identity)
            try:
                inside = sorted(here.iterdir(), reverse=True)
            except OSError as e:
                yield Skipped(str(here), _why(here, e))
                continue
            waiting += inside
        elif stat.S_ISREG(info.st_mode):
            seen.add(identity)
            yield Found(str(here), info.st_size, info.st_mtime_ns)
        else:
            yield Skipped(str(here), "neither a file nor a folder")


def _why(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "a link to nothing" if path.is_symlink() else "it is not there"
    return "it could not be read"
