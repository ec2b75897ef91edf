"""Writes the log as static files that anybody can serve, copy and check: c2sp.org/tlog-tiles.

Only what is new is written, and only what leads to the signed root. Tiles never change once they
are there; the checkpoint comes last, so whoever reads it finds all that it promises.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sovereign.audit.durable import locked, sync_names, write_whole
from sovereign.audit.note import Checkpoint, open_checkpoint
from sovereign.audit.stored import Stored
from sovereign.audit.tiles import WIDTH, Tiles, folder, level_width, tile_path
from sovereign.audit.tree import EMPTY_ROOT, Frontier
from sovereign.errors import LogTampered

__all__ = ["Published", "publish"]

ELSEWHERE = "publish to a new folder, and keep this one as it is: it is evidence"


@dataclass(frozen=True, slots=True)
class Published:
    """Records that were there, records that are there now, and files written."""

    before: int
    after: int
    files: int


def publish(stored: Stored, into: Path) -> Published:
    """Bring the folder ``into`` to the log's newest checkpoint.

    Raises :class:`LogTampered` if what is there is not the beginning of the log, or a record is not
    what was signed: then nothing is written.
    """
    with locked(into):
        note, newest = stored.checkpoint()
        before = _there(into, stored)
        fetch = folder(into)
        if before.size > newest.size:
            raise LogTampered(
                f"{into} has {before.size} records, the log was signed up to {newest.size}",
                index=newest.size,
                hint="the log was rolled back; " + ELSEWHERE,
            )
        old = Tiles(fetch, before.size)
        edge = old.frontier()
        if edge.root() != before.root:
            raise LogTampered(f"the tiles in {into} are not what was signed", hint=ELSEWHERE)
        leaves = (leaf for _, _, leaf in stored.entries(before.size, newest.size))
        if edge.extend(leaves).root() != newest.root:
            raise LogTampered(
                f"the log does not continue what {into} holds",
                hint="`sovereign audit verify` says whether the log is wrong; if not, " + ELSEWHERE,
            )
        if before.size == newest.size:
            known = fetch("checkpoint")
            if known == note.encode():
                return Published(before.size, newest.size, 0)
            write_whole(into / "checkpoint", note.encode())  # new cosignatures
            return Published(before.size, newest.size, 1)
        writer = _Writer(into, old)
        files = sum(1 for _ in writer.write(stored, newest.size))
        writer.sync()
        write_whole(into / "checkpoint", note.encode())
        writer.drop_partials(before.size, newest.size)
        return Published(before.size, newest.size, files + 1)


def _there(into: Path, stored: Stored) -> Checkpoint:
    data = folder(into)("checkpoint")
    if data is None:
        return Checkpoint(stored.verifier.name, 0, EMPTY_ROOT)
    try:
        return open_checkpoint(data.decode("utf-8"), stored.verifier)
    except UnicodeDecodeError:
        raise LogTampered(f"{into / 'checkpoint'} is not text") from None


class _Writer:
    """Grows tiles from the right edge of those that are there."""

    def __init__(self, into: Path, old: Tiles) -> None:
        self._into = into
        self._old = old
        self._rows: list[list[bytes]] = []
        self._done: list[int] = []
        self._touched: set[Path] = set()
        level = 1
        self._add_level(0, [])  # level 0 begins again with its bundle
        while width := level_width(old.size, level):
            full, partial = divmod(width, WIDTH)
            self._add_level(full, list(old.hashes(level, full)) if partial else [])
            level += 1

    def write(self, stored: Stored, size: int) -> Iterator[None]:
        """One None per file. Full tiles as they fill, then the partial ones."""
        start = self._old.size - self._old.size % WIDTH
        self._done[0] = start // WIDTH
        bundle: list[bytes] = []
        for _, data, leaf in stored.entries(start, size):
            bundle.append(data)
            self._rows[0].append(leaf)
            if len(bundle) == WIDTH:
                yield from self._bundle(bundle, self._done[0])
                bundle = []
                yield from self._full(0)
        if bundle:
            yield from self._bundle(bundle, self._done[0])
        for level, row in enumerate(self._rows):
            if row:
                name = tile_path(level, self._done[level], len(row))
                yield from self._put(name, b"".join(row))

    def sync(self) -> None:
        """All names are durable before the checkpoint that promises them is written."""
        for folder_ in sorted(self._touched):
            sync_names(folder_)

    def drop_partials(self, before: int, after: int) -> None:
        """ "MAY delete any partial tile once the corresponding full tile is available"."""
        for level in range(len(self._rows)):
            full, partial = divmod(level_width(before, level), WIDTH)
            if not partial or level_width(after, level) < (full + 1) * WIDTH:
                continue
            for kind in (level, "entries") if level == 0 else (level,):
                with contextlib.suppress(OSError):
                    gone = self._into / tile_path(kind, full, partial)
                    for file in gone.parent.iterdir():
                        file.unlink()
                    gone.parent.rmdir()

    def _full(self, level: int) -> Iterator[None]:
        """Level ``level`` has a full tile: write it, and hash it into the level above."""
        row = self._rows[level]
        yield from self._put(tile_path(level, self._done[level]), b"".join(row))
        self._done[level] += 1
        self._rows[level] = []
        if level + 1 == len(self._rows):
            self._add_level(0, [])
        self._rows[level + 1].append(Frontier().extend(row).root())
        if len(self._rows[level + 1]) == WIDTH:
            yield from self._full(level + 1)

    def _bundle(self, entries: list[bytes], n: int) -> Iterator[None]:
        """ "big-endian uint16 length-prefixed log entries"; a record is never longer."""
        data = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
        yield from self._put(tile_path("entries", n, len(entries)), data)

    def _put(self, name: str, data: bytes) -> Iterator[None]:
        """Immutable: what a run that was killed left behind must be the same."""
        file = self._into / name
        if file.exists():
            if file.read_bytes() != data:
                raise LogTampered(f"{file} is there already, and says otherwise", hint=ELSEWHERE)
            return
        write_whole(file, data, name=False)
        self._touched.update(p for p in file.parents if p == self._into or self._into in p.parents)
        yield

    def _add_level(self, done: int, row: list[bytes]) -> None:
        self._done.append(done)
        self._rows.append(row)
