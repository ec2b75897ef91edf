"""Takes a bundle into the store: all of it is verified, then each model moves into place.

Reading is comparing: see :mod:`sovereign.weights.manifest`. A part is in the journal once what it
holds is on the store's disk, so an import that died, or that ran out of discs, goes on with the
next part; those before need not be there any more. The signature is verified first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights import lock as lockfile
from sovereign.weights import signing
from sovereign.weights.admit import admit
from sovereign.weights.lock import Entry, File, write_atomically
from sovereign.weights.manifest import (
    LOCK,
    MANIFEST,
    SIGNATURE,
    Manifest,
    Slice,
    cut,
    parse,
    part_name,
)
from sovereign.weights.papers import with_papers
from sovereign.weights.staging import Meter, Progress, hash_file, kept, require_space
from sovereign.weights.store import Store

__all__ = ["unbundle"]

JOURNAL = "journal.json"
BLOCK = 1 << 20
MOST_BYTES = 64_000_000


def unbundle(
    store: Store,
    source: Path,
    *,
    key: signing.PublicKey | None,
    replace: bool = False,
    progress: Progress | None = None,
) -> list[Entry]:
    """Import all models of the bundle in the folder ``source``. ``key`` None: do not ask who sent
    it. Raises :class:`NotVerified`, with the file's name, for anything that is not as it was made.
    """
    with store.refusals("bundle", "bundle"):
        raw = _small(source / MANIFEST)
        manifest = parse(raw)
        _signature(source, manifest, raw, key)
        entries = _entries(source, manifest)
        _beside(source, manifest)
    for entry in entries:
        with store.refusals(entry.name, "bundle"):
            store.rules.check_licence(entry.licence, entry.name)
            store.rules.check_standing(entry)
    known = lockfile.load(store.lock)
    there = {e.name for e in entries if known.get(e.name) == e}
    for name in sorted(there):
        store.verify(name)
    store.root.mkdir(parents=True, exist_ok=True)
    coming = [e for e in entries if e.name not in there]
    with kept(store.root, hashlib.sha256(raw).hexdigest()) as work:
        with store.refusals("bundle", "bundle"):
            _unpack(source, manifest, work, {e.name for e in coming}, progress)
        for entry in coming:
            with store.refusals(entry.name, "bundle"):
                _same(entry, work / entry.name)
            store.keep(work / entry.name, entry, replace=replace)
    return entries


def _signature(source: Path, manifest: Manifest, raw: bytes, key: signing.PublicKey | None) -> None:
    if key is None:
        return
    signature = source / SIGNATURE
    if not signature.exists():
        raise NotVerified(f"{SIGNATURE}: is missing, so nobody signed the bundle")
    sealed = File(MANIFEST, len(raw), hashlib.sha256(raw).hexdigest())
    inside = [*manifest.files, *manifest.beside, sealed]
    signing.verify(_small(signature), inside, key, SIGNATURE)


def _entries(source: Path, manifest: Manifest) -> list[Entry]:
    """What the bundle's lock says; the manifest lists exactly its files."""
    lock = next((f for f in manifest.beside if f.path == LOCK), None)
    raw = _small(source / LOCK)
    if lock is None or hashlib.sha256(raw).hexdigest() != lock.sha256:
        raise NotVerified(f"{LOCK}: is not what the manifest says")
    entries = [e for _, e in sorted(lockfile.parse(raw, LOCK).items())]
    wanted = {f"{e.name}/{f.path}": (f.size, f.sha256) for e in entries for f in e.files}
    listed = {f.path: (f.size, f.sha256) for f in manifest.files}
    for path in sorted(wanted.keys() | listed.keys()):
        if wanted.get(path) != listed.get(path):
            raise NotVerified(f"{path}: the lock and the manifest do not agree")
    return entries


def _beside(source: Path, manifest: Manifest) -> None:
    """Nothing lies in the folder that the manifest does not list, and what it lists is whole."""
    listed = {f.path: f for f in manifest.beside}
    known = {*listed, *manifest.parts, MANIFEST, SIGNATURE}
    for folder, folders, files in os.walk(source):
        for name in sorted(folders + files):
            path = Path(folder, name)
            inside = path.relative_to(source).as_posix()
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise NotVerified(f"{inside}: is no plain file")
            if path.is_dir():
                continue
            if inside not in known:
                raise NotVerified(f"{inside}: is not in the manifest")
    for file in manifest.beside:
        path = source / file.path
        if not path.exists():
            raise NotVerified(f"{file.path}: is missing")
        if hash_file(path) != (file.size, file.sha256):
            raise NotVerified(f"{file.path}: is not what the manifest says")


def _unpack(
    source: Path, manifest: Manifest, work: Path, models: set[str], progress: Progress | None
) -> None:
    done = _done(work / JOURNAL)
    meter = Meter(progress, "importing", sum(f.size for f in manifest.files))
    if not done:
        coming = (f for f in manifest.files if f.path.split("/")[0] in models)
        require_space(work, sum(f.size for f in coming))
    writer = _Writer(work, models)
    for number, part in enumerate(cut(manifest)):
        if number < done:
            for piece in part:
                meter(piece.size if piece.raw is None else 0)
            continue
        _part(source / part_name(number), part, writer, meter)
        writer.sync()
        write_atomically(work / JOURNAL, json.dumps(number + 1).encode())
    for file in manifest.files:
        if file.path.split("/")[0] in models and file.path not in writer.whole:
            target = work / file.path
            if not file.size and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            if not target.exists() or hash_file(target) != (file.size, file.sha256):
                # Begun by an earlier run: its first parts were not hashed in this one.
                (work / JOURNAL).unlink(missing_ok=True)
                raise NotVerified(f"{file.path}: is not what the manifest says")


def _part(path: Path, part: list[Slice], writer: _Writer, meter: Meter) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise WeightsError(
            f"{path.name}: is missing", hint="bring it, and run this again: it goes on from there"
        ) from None
    with os.fdopen(handle, "rb", buffering=0) as source:
        size = sum(s.size for s in part)
        if os.fstat(handle).st_size != size:
            raise NotVerified(f"{path.name}: has another size than the manifest says")
        for piece in part:
            at = piece.at
            for block in _read(source, piece.size, path.name):
                if piece.raw is not None:
                    if block != piece.raw:
                        raise NotVerified(
                            f"{path.name}: beside {piece.file.path} it holds what is not listed"
                        )
                    continue
                writer.write(piece.file, at, block, path.name)
                at += len(block)
                meter(len(block))


def _read(source: io.FileIO, size: int, name: str) -> Iterator[bytes]:
    while size:
        block = source.read(min(BLOCK, size))
        if not block:
            raise NotVerified(f"{name}: ends too early")
        size -= len(block)
        yield block


class _Writer:
    """Puts the files' bytes where they belong, and hashes each file as it goes by."""

    def __init__(self, work: Path, models: set[str]) -> None:
        self.whole: set[str] = set()
        self._work, self._models = work, models
        self._open: dict[str, int] = {}
        self._path, self._at, self._digest = "", 0, hashlib.sha256()

    def write(self, file: File, at: int, block: bytes, part: str) -> None:
        if file.path.split("/")[0] not in self._models:
            return
        if at == 0:
            self._path, self._at, self._digest = file.path, 0, hashlib.sha256()
        target = self._work / file.path
        if file.path not in self._open:
            target.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._open[file.path] = os.open(target, flags, 0o600)
        os.pwrite(self._open[file.path], block, at)
        if (self._path, self._at) != (file.path, at):
            return  # resumed in the middle of a file: it is hashed from the disk at the end
        self._digest.update(block)
        self._at += len(block)
        if self._at == file.size:
            if self._digest.hexdigest() != file.sha256:
                raise NotVerified(f"{file.path}: in {part}: is not what the manifest says")
            self.whole.add(file.path)

    def sync(self) -> None:
        for handle in self._open.values():
            os.fsync(handle)
            os.close(handle)
        self._open.clear()


def _same(entry: Entry, work: Path) -> None:
    """What lies there is admitted like any stranger's, and its papers are those of the lock."""
    paths = set(admit(work))
    for file in entry.files:
        if file.path not in paths:
            raise NotVerified(f"{entry.name}: {file.path}: may not be in a store")
    bare = dataclasses.replace(
        entry, licence_sha256=None, base=None, tokenizer=None, chat_template=None
    )
    if with_papers(bare, work) != entry:
        raise NotVerified(f"{entry.name}: its papers are not those of its files")


def _done(journal: Path) -> int:
    try:
        return int(json.loads(journal.read_bytes()))
    except (OSError, ValueError, TypeError):
        return 0


def _small(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            return file.read(MOST_BYTES)
    except OSError as e:
        raise NotVerified(f"{path.name}: cannot be read: {e.strerror}") from None
