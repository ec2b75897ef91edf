"""Writes the log as static files that anybody can serve, copy and check: c2sp.org/tlog-tiles.

Only what is new is written, and only what leads to the signed root. Tiles never change once they
are there; the checkpoint comes last, so whoever reads it finds all that it promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sovereign.audit.history import logs
from sovereign.audit.note import Checkpoint, Verifier, open_checkpoint
from sovereign.audit.shelf import ELSEWHERE, Shelf
from sovereign.audit.stored import Stored, open_stored
from sovereign.audit.tiles import WIDTH, Tiles, level_width, tile_path
from sovereign.audit.tree import EMPTY_ROOT, Frontier
from sovereign.errors import LogTampered

__all__ = ["Published", "publish", "publish_chain"]


@dataclass(frozen=True, slots=True)
class Published:
    """Records that were there, records that are there now, and files written."""

    before: int
    after: int
    files: int


def publish_chain(chain: Path, verifier: Verifier, into: Shelf) -> Published:
    """Publish every log of the chain in folder ``chain``: the first to ``into``, log n to its
    ``n``. Raises as :func:`publish` does."""
    total = Published(0, 0, 0)
    past = logs(chain, verifier)
    for one in past:
        if one.deleted and len(past) > 1:
            continue  # what was published of it is not ours to delete
        with open_stored(one.folder, one.verifier) as stored:
            done = publish(stored, into if one.number == 1 else into.under(str(one.number)))
        total = Published(
            total.before + done.before, total.after + done.after, total.files + done.files
        )
    return total


def publish(stored: Stored, into: Shelf) -> Published:
    """Bring what is published at ``into`` to the log's newest checkpoint.

    Raises :class:`LogTampered` if what is there is not the beginning of the log, or a record is not
    what was signed: then nothing is written.
    """
    with into.alone():
        note, newest = stored.checkpoint()
        before = _there(into, stored)
        if before.size > newest.size:
            raise LogTampered(
                f"{into.name} has {before.size} records, the log was signed up to {newest.size}",
                index=newest.size,
                hint="the log was rolled back; " + ELSEWHERE,
            )
        old = Tiles(into.get, before.size)
        edge = old.frontier()
        if edge.root() != before.root:
            raise LogTampered(f"the tiles in {into.name} are not what was signed", hint=ELSEWHERE)
        leaves = (leaf for _, _, leaf in stored.entries(before.size, newest.size))
        if edge.extend(leaves).root() != newest.root:
            raise LogTampered(
                f"the log does not continue what {into.name} holds",
                hint="`sovereign audit verify` says whether the log is wrong; if not, " + ELSEWHERE,
            )
        if before.size == newest.size:
            if into.get("checkpoint") == note.encode():
                return Published(before.size, newest.size, 0)
            into.put("checkpoint", note.encode())  # new cosignatures
            return Published(before.size, newest.size, 1)
        writer = _Writer(into, old)
        files = sum(1 for _ in writer.write(stored, newest.size))
        into.put("checkpoint", note.encode())
        writer.drop_partials(before.size, newest.size)
        return Published(before.size, newest.size, files + 1)


def _there(into: Shelf, stored: Stored) -> Checkpoint:
    data = into.get("checkpoint")
    if data is None:
        return Checkpoint(stored.verifier.name, 0, EMPTY_ROOT)
    try:
        return open_checkpoint(data.decode("utf-8"), stored.verifier)
    except UnicodeDecodeError:
        raise LogTampered(f"{into.name}/checkpoint is not text") from None


class _Writer:
    """Grows tiles from the right edge of those that are there."""

    def __init__(self, into: Shelf, old: Tiles) -> None:
        self._into = into
        self._old = old
        self._rows: list[list[bytes]] = []
        self._done: list[int] = []
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

    def drop_partials(self, before: int, after: int) -> None:
        """ "MAY delete any partial tile once the corresponding full tile is available"."""
        for level in range(len(self._rows)):
            full, partial = divmod(level_width(before, level), WIDTH)
            if not partial or level_width(after, level) < (full + 1) * WIDTH:
                continue
            for kind in (level, "entries") if level == 0 else (level,):
                self._into.drop(tile_path(kind, full, partial).rpartition("/")[0])

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
        if self._into.add(name, data):
            yield

    def _add_level(self, done: int, row: list[bytes]) -> None:
        self._done.append(done)
        self._rows.append(row)
