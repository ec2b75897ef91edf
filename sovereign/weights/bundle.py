"""Writes models of the store into a folder that a courier can carry; see
:mod:`sovereign.weights.manifest` for its form.

Every file is hashed while it is read and held against the lock, so nothing that was changed goes
out. A part is in the journal once it is on the disk whole; a bundle that died is gone on with from
the first part that is not, and the manifest is written last, so an unfinished bundle is none.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights import lock as lockfile
from sovereign.weights import signing
from sovereign.weights.bom import bom
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
from sovereign.weights.staging import Meter, Progress, copy, require_space, write_all
from sovereign.weights.store import Store

__all__ = ["bundle"]

JOURNAL = ".bundle.journal"
BLOCK = 1 << 20


def bundle(
    store: Store,
    names: Sequence[str],
    out: Path,
    *,
    limit: int,
    key: signing.PrivateKey | None,
    beside: Sequence[tuple[str, Path]] = (),
    progress: Progress | None = None,
) -> Manifest:
    """Carry ``names`` out into the folder ``out``, in parts of at most ``limit`` bytes.

    ``beside`` are files that go along openly: (path in the bundle, source). Without a ``key`` the
    bundle is not signed. Raises :class:`NotVerified` with the name of a file that was changed.
    """
    entries = [store.entry(name) for name in sorted(set(names))]
    for entry in entries:
        store.rules.check_standing(entry)
    out.mkdir(parents=True, exist_ok=True)
    if (out / MANIFEST).exists():
        raise WeightsError(f"{out}: holds a bundle already", hint="name another folder")
    require_space(out, sum(e.size for e in entries))
    papers = _papers(entries, out, beside)
    files = tuple(
        File(f"{e.name}/{f.path}", f.size, f.sha256)
        for e in entries
        for f in sorted(e.files, key=lambda f: f.path)
    )
    plan = Manifest(limit, files, papers)
    sources = {f"{e.name}/{f.path}": store.folder(e) / f.path for e in entries for f in e.files}
    meter = Meter(progress, "bundling", sum(f.size for f in files))
    made = Manifest(limit, files, papers, _write(plan, sources, out, meter))
    raw = dump(made)
    write_atomically(out / MANIFEST, raw)
    if key is not None:
        inside = [
            *made.beside,
            *(File(part_name(n), 0, sha256) for n, sha256 in enumerate(made.parts)),
            File(MANIFEST, len(raw), hashlib.sha256(raw).hexdigest()),
        ]
        write_atomically(out / SIGNATURE, signing.sign(out.name, inside, key, (SIGNATURE,)))
    (out / JOURNAL).unlink(missing_ok=True)
    return made


def _papers(
    entries: Sequence[Entry], out: Path, beside: Sequence[tuple[str, Path]]
) -> tuple[File, ...]:
    """The lock of these models, a bill of materials for each, and what goes along."""
    made = {LOCK: lockfile.dump({e.name: e for e in entries})}
    made |= {f"bom/{e.name}.cdx.json": bom(e) for e in entries}
    found = []
    for path, raw in made.items():
        write_atomically(out / path, raw)
        found.append(File(path, len(raw), hashlib.sha256(raw).hexdigest()))
    for path, source in beside:
        (out / path).unlink(missing_ok=True)
        found.append(File(path, *copy(source, out / path)))
    return tuple(sorted(found, key=lambda f: f.path))


def _write(plan: Manifest, sources: dict[str, Path], out: Path, meter: Meter) -> tuple[str, ...]:
    journal = out / JOURNAL
    key = hashlib.sha256(dump(plan)).hexdigest()
    done = _done(journal, key)
    reader = _Reader(sources, meter)
    for number, part in enumerate(cut(plan)):
        target = out / part_name(number)
        size = sum(s.size for s in part)
        if number < len(done) and target.is_file() and target.stat().st_size == size:
            reader.passed(part)
            continue
        del done[number:]
        done.append(_part(target, part, reader))
        write_atomically(journal, json.dumps({"plan": key, "parts": done}).encode())
    return tuple(done)


def _part(target: Path, part: list[Slice], reader: _Reader) -> str:
    """SHA-256 of the part, which is on the disk."""
    digest = hashlib.sha256()
    target.unlink(missing_ok=True)  # never through a link that somebody put there
    with target.open("xb", buffering=0) as to:
        for piece in part:
            blocks: Iterable[bytes] = [piece.raw] if piece.raw is not None else reader.blocks(piece)
            for block in blocks:
                digest.update(block)
                write_all(to, block)
        os.fsync(to.fileno())
    return digest.hexdigest()


class _Reader:
    """Hands out slices of files in order, and refuses a file at whose end the hash is wrong."""

    def __init__(self, sources: dict[str, Path], meter: Meter) -> None:
        self._sources, self._meter = sources, meter
        self._path = ""
        self._digest = hashlib.sha256()
        self._at = 0

    def passed(self, part: list[Slice]) -> None:
        """These are in a part that an earlier run finished; it checked what ended there."""
        for piece in part:
            if piece.raw is None:
                self._meter(piece.size)

    def blocks(self, piece: Slice) -> Iterator[bytes]:
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
        if self._at == file.size and self._digest.hexdigest() != file.sha256:
            raise NotVerified(f"{file.path}: was changed")

    def _pump(self, source: io.FileIO, until: int, file: File) -> Iterator[bytes]:
        source.seek(self._at)
        while self._at < until:
            block = source.read(min(BLOCK, until - self._at))
            if not block:
                raise NotVerified(f"{file.path}: was changed")
            self._digest.update(block)
            self._at += len(block)
            yield block


def _done(journal: Path, key: str) -> list[str]:
    try:
        data = json.loads(journal.read_bytes())
        return list(data["parts"]) if data["plan"] == key else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
