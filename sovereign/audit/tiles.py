"""Reads a published log: tiles, entry bundles and a checkpoint, from any place that gives bytes.

Tiles alone prove nothing. :func:`check` recomputes each from the one below, down to the records,
up to the signed root, and says which is wrong. Specification: c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sovereign.audit.note import Checkpoint, Verifier, open_checkpoint
from sovereign.audit.tree import EMPTY_ROOT, HASH_SIZE, Frontier, leaf_hash
from sovereign.errors import LogTampered

__all__ = ["WIDTH", "Checked", "Tiles", "check", "folder", "tile_path"]

WIDTH = 256
""" "Full tiles MUST be exactly 256 hashes wide"."""

Level = int | Literal["entries"]
Fetch = Callable[[str], bytes | None]
"""A resource by its path under the log's prefix; None if it is not there."""

MOST_PROBLEMS = 100


def tile_path(level: Level, n: int, width: int = WIDTH) -> str:
    """ "tile/<L>/<N>[.p/<W>]", N in zero-padded 3-digit elements, all but the last with an x."""
    parts = [f"{n % 1000:03}"]
    while n := n // 1000:
        parts.append(f"x{n % 1000:03}")
    suffix = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(parts))}{suffix}"


def folder(path: Path) -> Fetch:
    """Resources as files under ``path``."""

    def fetch(name: str) -> bytes | None:
        try:
            return (path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as e:
            raise LogTampered(f"{path / name}: {e.strerror}") from None

    return fetch


def level_width(size: int, level: int) -> int:
    """How many hashes level ``level`` has in a tree of ``size``: "floor(s / 256**l)"."""
    return size >> (8 * level)


class Tiles:
    """A log of ``size`` records in tiles. What it returns is not authentic until checked."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        self.size = size
        self._fetch = fetch
        self._tile = functools.lru_cache(maxsize=64)(self._read_tile)

    def hashes(self, level: int, n: int) -> tuple[bytes, ...]:
        """The tile's hashes. Raises :class:`LogTampered` if it is missing or misshapen."""
        return self._tile(level, n)

    def entries(self, n: int) -> list[bytes]:
        """ "sequences of big-endian uint16 length-prefixed log entries"."""
        width = min(WIDTH, self.size - n * WIDTH)
        data, name = self._resource("entries", n, width)
        found: list[bytes] = []
        at = 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if end > len(data) or at + 2 > len(data):
                raise LogTampered(f"{name} ends within an entry", index=n * WIDTH + len(found))
            found.append(data[at + 2 : end])
            at = end
        full = name == tile_path("entries", n)
        if len(found) != (WIDTH if full else width):
            raise LogTampered(f"{name} holds {len(found)} entries", index=n * WIDTH)
        return found[:width]

    def frontier(self) -> Frontier:
        """The tree's right edge, from the last tile of each level: its peaks, largest first."""
        peaks: list[bytes] = []
        level = 0
        while width := level_width(self.size, level):
            if partial := width % WIDTH:
                edge = Frontier().extend(self.hashes(level, width // WIDTH)[:partial])
                peaks = [*edge.peaks, *peaks]
            level += 1
        return Frontier(self.size, tuple(peaks))

    def root_of(self, start: int, stop: int) -> bytes:
        """MTH(D[start:stop]) for a range that RFC 6962 cuts: its start is a multiple of the
        largest power of two in it."""
        peaks, at = [], start
        for height in reversed(range((stop - start).bit_length())):
            if (stop - start) >> height & 1:
                peaks.append(self._perfect(at, height))
                at += 1 << height
        return Frontier(stop - start, tuple(peaks)).root()

    def _perfect(self, start: int, height: int) -> bytes:
        """The root of the 2**height leaves from ``start``."""
        level, within = divmod(height, 8)
        n, offset = divmod(start >> (8 * level), WIDTH)
        return Frontier().extend(self.hashes(level, n)[offset : offset + (1 << within)]).root()

    def _read_tile(self, level: int, n: int) -> tuple[bytes, ...]:
        width = min(WIDTH, level_width(self.size, level) - n * WIDTH)
        data, name = self._resource(level, n, width)
        expected = WIDTH if name == tile_path(level, n) else width
        if len(data) != expected * HASH_SIZE:
            raise LogTampered(f"{name} does not hold {expected} hashes")
        return tuple(data[i : i + HASH_SIZE] for i in range(0, width * HASH_SIZE, HASH_SIZE))

    def _resource(self, level: Level, n: int, width: int) -> tuple[bytes, str]:
        """A partial tile may be gone once the full one is there ("Clients MAY fetch the full tile
        as a fallback")."""
        for name in dict.fromkeys((tile_path(level, n, width), tile_path(level, n))):
            data = self._fetch(name)
            if data is not None:
                return data, name
        raise LogTampered(f"{tile_path(level, n, width)} is missing")


@dataclass
class Checked:
    """What was found. ``problems`` are sentences that name a tile, a record or the checkpoint."""

    checkpoint: Checkpoint | None = None
    note: str = ""
    records: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def check(fetch: Fetch, verifier: Verifier, old: Sequence[Checkpoint] = ()) -> Checked:
    """Recompute a whole published log, and that it begins with each ``old`` checkpoint.

    From the top: the right edge leads to the signed root, each hash above level 0 is the root of
    the full tile below, each hash at level 0 is its record's. So what is wrong is named, and once.
    """
    found = Checked()
    try:
        found.note = (fetch("checkpoint") or b"").decode("utf-8")
        found.checkpoint = checkpoint = open_checkpoint(found.note, verifier)
    except (LogTampered, UnicodeDecodeError) as e:
        found.problems.append(f"checkpoint: {e}")
        return found
    tiles = Tiles(fetch, checkpoint.size)
    for problem in _problems(tiles, checkpoint, found, old):
        found.problems.append(problem)
        if len(found.problems) == MOST_PROBLEMS:
            break
    return found


def _problems(
    tiles: Tiles, checkpoint: Checkpoint, found: Checked, old: Sequence[Checkpoint]
) -> Iterator[str]:
    try:
        if tiles.frontier().root() != checkpoint.root:
            yield (
                f"checkpoint {checkpoint.size}: the last tiles of each level do not lead to the "
                "signed root: one of them was changed, or the checkpoint is another log's"
            )
    except LogTampered as e:
        yield str(e)
    top = max(0, (checkpoint.size.bit_length() - 1) // 8)
    for level in range(top, 0, -1):
        yield from _below(tiles, level)
    for n in range(-(-checkpoint.size // WIDTH)):
        yield from _records(tiles, n, found)
    for earlier in old:
        yield from _extends(tiles, earlier)


def _below(tiles: Tiles, level: int) -> Iterator[str]:
    """Each hash at ``level`` against the full tile at the level below."""
    for index in range(level_width(tiles.size, level)):
        n, offset = divmod(index, WIDTH)
        name = tile_path(level - 1, index)
        try:
            said = tiles.hashes(level, n)[offset]
        except LogTampered as e:
            if offset == 0:
                yield str(e)
            continue
        try:
            if Frontier().extend(tiles.hashes(level - 1, index)).root() != said:
                yield f"{name} is not what {tile_path(level, n)} says it is"
        except LogTampered as e:
            if level == 1:  # otherwise the next level says it
                continue
            yield str(e)


def _records(tiles: Tiles, n: int, found: Checked) -> Iterator[str]:
    try:
        leaves = tiles.hashes(0, n)
        entries = tiles.entries(n)
    except LogTampered as e:
        yield str(e)
        return
    for offset, (entry, leaf) in enumerate(zip(entries, leaves, strict=True)):
        if leaf_hash(entry) != leaf:
            yield f"record {n * WIDTH + offset}: it is not what {tile_path(0, n)} says it is"
        else:
            found.records += 1


def _extends(tiles: Tiles, old: Checkpoint) -> Iterator[str]:
    if old.size > tiles.size:
        yield f"the log ends at {tiles.size} records; {old.size} were signed: it was rolled back"
        return
    try:
        root = tiles.root_of(0, old.size) if old.size else EMPTY_ROOT
    except LogTampered:
        return  # said already
    if root != old.root:
        yield f"the log does not begin with the {old.size} records that were signed: it was forked"
