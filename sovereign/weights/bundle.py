"""Writes models of the store into a folder that a courier can carry; see
:mod:`sovereign.weights.manifest` for its form.

Every file is hashed while it is read and held against the lock, so nothing that was changed goes
out; a thread hashes beside the one that copies. A part is in the journal once it is on the disk
whole; a bundle that died is gone on with from the first part that is not, and the manifest is
written last, so an unfinished bundle is none.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights import lock as lockfile
from sovereign.weights.bom import bom
from sovereign.weights.described import describe
from sovereign.weights.lock import Entry, File, write_atomically
from sovereign.weights.manifest import (
    LOCK,
    MANIFEST,
    SIGNATURE,
    Manifest,
    Slice,
    cut,
    dump,
    part_name,
)
from sovereign.weights.staging import (
    Meter,
    Progress,
    begin_writing,
    copy,
    require_space,
    write_all,
)
from sovereign.weights.store import Store

if TYPE_CHECKING:
    from sovereign.weights.signing import PrivateKey

__all__ = ["bundle"]

JOURNAL = ".bundle.journal"
BLOCK = 1 << 20
AHEAD = 8
"""Blocks that wait for a hash at most."""
WRITE_BACK = 32 << 20


def bundle(
    store: Store,
    names: Sequence[str],
    out: Path,
    *,
    limit: int,
    key: PrivateKey | None,
    beside: Sequence[tuple[str, Path]] = (),
    progress: Progress | None = None,
) -> Manifest:
    """Carry ``names`` out into the folder ``out``, in parts of at most ``limit`` bytes.

    ``beside`` are files that go along openly: (path in the bundle, source). Without a ``key`` the
    bundle is not signed. Raises :class:`NotVerified` with the name of a file that was changed.
    """
    entries = [store.entry(name) for name in sorted(set(names))]
    for entry in entries:
        with store.refusals(entry.name, "bundle"):
            store.rules.check_standing(entry)
    out.mkdir(parents=True, exist_ok=True)
    if (out / MANIFEST).exists():
        raise WeightsError(f"{out}: holds a bundle already", hint="name another folder")
    there = sum(p.stat().st_size for p in out.glob("part-*.tar"))  # by an earlier run of this
    require_space(out, max(sum(e.size for e in entries) - there, 0))
    with store.refusals("bundle", "bundle"):
        papers = _papers(store, entries, out, beside)
    files = tuple(
        File(f"{e.name}/{f.path}", f.size, f.sha256)
        for e in entries
        for f in sorted(e.files, key=lambda f: f.path)
    )
    plan = Manifest(limit, files, papers)
    sources = {f"{e.name}/{f.path}": store.folder(e) / f.path for e in entries for f in e.files}
    meter = Meter(progress, "bundling", sum(f.size for f in files))
    raw = dump(plan)
    with store.refusals("bundle", "bundle"):
        _write(plan, hashlib.sha256(raw).hexdigest(), sources, out, meter)
    write_atomically(out / MANIFEST, raw)
    if key is not None:
        from sovereign.weights import signing

        # What lies in the folder once the parts are unpacked in it, so that others can verify it.
        sealed = File(MANIFEST, len(raw), hashlib.sha256(raw).hexdigest())
        inside, ignored = [*files, *papers, sealed], (SIGNATURE, *plan.parts)
        write_atomically(out / SIGNATURE, signing.sign(out.name, inside, key, ignored))
    (out / JOURNAL).unlink(missing_ok=True)
    return plan


def _papers(
    store: Store, entries: Sequence[Entry], out: Path, beside: Sequence[tuple[str, Path]]
) -> tuple[File, ...]:
    """The lock of these models, a bill of materials for each, and what goes along."""
    made = {LOCK: lockfile.dump({e.name: e for e in entries})}
    made |= {f"bom/{e.name}.cdx.json": bom(e, describe(e, store.folder(e))) for e in entries}
    found = []
    for path, raw in made.items():
        write_atomically(out / path, raw)
        found.append(File(path, len(raw), hashlib.sha256(raw).hexdigest()))
    for path, source in beside:
        (out / path).unlink(missing_ok=True)
        found.append(File(path, *copy(source, out / path)))
    return tuple(sorted(found, key=lambda f: f.path))


def _write(plan: Manifest, key: str, sources: dict[str, Path], out: Path, meter: Meter) -> None:
    journal = out / JOURNAL
    done = _done(journal, key)
    with _Lane() as lane:
        reader = _Reader(sources, meter, lane)
        for number, part in enumerate(cut(plan)):
            target = out / part_name(number)
            size = sum(s.size for s in part)
            if number < done and target.is_file() and target.stat().st_size == size:
                reader.passed(part)
                continue
            done = 0  # this one is gone, so none behind it is believed
            _part(target, part, reader)
            write_atomically(journal, json.dumps({"plan": key, "parts": number + 1}).encode())


def _part(target: Path, part: list[Slice], reader: _Reader) -> None:
    """Make the part, and have it on the disk."""
    at = begun = 0
    target.unlink(missing_ok=True)  # never through a link that somebody put there
    with target.open("xb", buffering=0) as to:
        for piece in part:
            blocks: Iterable[bytes | memoryview]
            blocks = reader.blocks(piece) if piece.raw is None else [piece.raw]
            for block in blocks:
                write_all(to, block)
                at += len(block)
                if at - begun >= WRITE_BACK:
                    begin_writing(to, begun, at)
                    begun = at
        os.fsync(to.fileno())


class _Lane:
    """A thread that hashes, block after block in the order they came. hashlib lets go of the
    interpreter, so it runs beside the others."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._room = threading.Semaphore(AHEAD)

    def update(self, digest: Any, block: memoryview) -> None:
        """``block`` goes into ``digest`` soon; waits while :data:`AHEAD` others do."""
        self._room.acquire()
        self._pool.submit(self._update, digest, block)

    def finish(self, digest: Any) -> str:
        """The hash of all that went into ``digest``, in hex."""
        return str(self._pool.submit(digest.hexdigest).result())

    def _update(self, digest: Any, block: memoryview) -> None:
        try:
            digest.update(block)
        finally:
            self._room.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


class _Reader:
    """Hands out slices of files in order, and refuses a file at whose end the hash is wrong."""

    def __init__(self, sources: dict[str, Path], meter: Meter, lane: _Lane) -> None:
        self._sources, self._meter, self._lane = sources, meter, lane
        # One buffer more than may wait for their hash, so the next is free. New ones for each block
        # would cost as much as the copying.
        self._buffers = itertools.cycle([memoryview(bytearray(BLOCK)) for _ in range(AHEAD + 1)])
        self._path = ""
        self._digest = hashlib.sha256()
        self._at = 0

    def passed(self, part: list[Slice]) -> None:
        """These are in a part that an earlier run finished; it checked what ended there."""
        for piece in part:
            if piece.raw is None:
                self._meter(piece.size)

    def blocks(self, piece: Slice) -> Iterator[memoryview]:
        """Its bytes; each block is good until the next."""
        file = piece.file
        path = self._sources[file.path]
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            raise NotVerified(f"{file.path}: is missing from the store") from None
        with os.fdopen(handle, "rb", buffering=0) as source:
            if os.fstat(handle).st_size != file.size:
                raise NotVerified(f"{file.path}: was changed")
            if (self._path, self._at) != (file.path, piece.at):
                # A resumed run: what an earlier part holds of this file is read, not written.
                self._path, self._at, self._digest = file.path, 0, hashlib.sha256()
                for _ in self._pump(source, piece.at, file):
                    pass
            for block in self._pump(source, piece.at + piece.size, file):
                self._meter(len(block))
                yield block
        if self._at == file.size and self._lane.finish(self._digest) != file.sha256:
            raise NotVerified(f"{file.path}: was changed")

    def _pump(self, source: io.FileIO, until: int, file: File) -> Iterator[memoryview]:
        source.seek(self._at)
        while self._at < until:
            buffer = next(self._buffers)[: until - self._at]
            block = buffer[: source.readinto(buffer)]
            if not block:
                raise NotVerified(f"{file.path}: was changed")
            self._lane.update(self._digest, block)
            self._at += len(block)
            yield block


def _done(journal: Path, key: str) -> int:
    """How many parts an earlier run of the same plan finished."""
    try:
        data = json.loads(journal.read_bytes())
        return int(data["parts"]) if data["plan"] == key else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
