"""The store: what it hands out was checked, byte by byte, against the lockfile just before.

Layout: ``ROOT/<name>/<first 12 of digest>/``. Which digest a name stands for, only the lockfile
says; a folder that it does not name is never handed out.
"""

from __future__ import annotations

import dataclasses
import os
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.errors import NotAdmitted, NotVerified, WeightsError
from sovereign.types import Sink
from sovereign.weights import lock as lockfile
from sovereign.weights.admit import admit, walk
from sovereign.weights.lock import Entry, File, check_name, digest_of, seal_of
from sovereign.weights.papers import with_papers
from sovereign.weights.staging import (
    Progress,
    copy,
    exclusive,
    hash_file,
    move_in,
    require_space,
    staging,
)

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = ["Entry", "File", "Store", "open_store"]

UNKNOWN_LICENCE = "unknown"
LICENCE = re.compile(r"[A-Za-z0-9.+-]{1,64}")


class Store:
    """Verified weights below ``root``, as ``lock`` says. ``sink`` takes the audit events."""

    def __init__(self, root: Path, lock: Path, sink: Sink | None = None) -> None:
        self.root = root
        self.lock = lock
        self.sink = sink

    # -- reading -------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """Everything in the lockfile, by name."""
        return sorted(lockfile.load(self.lock).values(), key=lambda e: e.name)

    def entry(self, name: str) -> Entry:
        """One entry. Raises :class:`WeightsError` if the lockfile does not know ``name``."""
        known = lockfile.load(self.lock)
        if name not in known:
            there = ", ".join(sorted(known)) or "nothing yet"
            raise WeightsError(f"no weights named {name!r} in the store", hint=f"there is: {there}")
        return known[name]

    def get(self, name: str, *, progress: Progress | None = None) -> Path:
        """The folder of ``name``, verified just now. Raises :class:`NotVerified`."""
        self.verify(name, progress=progress)
        return self.folder(self.entry(name))

    def folder(self, entry: Entry) -> Path:
        """Where ``entry`` lies. Not verified: :meth:`get` is what others call."""
        return self.root / entry.name / entry.digest[:12]

    def verify(self, name: str, *, progress: Progress | None = None) -> None:
        """Hold every file against the lockfile: none changed, none missing, none additional."""
        entry = self.entry(name)
        try:
            self._compare(entry, progress)
        except NotVerified as e:
            self._tell("weights.refuse", name=name, digest=entry.digest, code=e.code)
            raise
        self._tell("weights.verify", name=name, digest=entry.digest)

    def _compare(self, entry: Entry, progress: Progress | None) -> None:
        folder = self.folder(entry)
        hint = "import or pull it again; if nobody touched it, check the disk"
        if not folder.is_dir() or folder.is_symlink():
            raise NotVerified(f"{entry.name}: its folder {folder} is missing", hint=hint)
        try:
            there = set(walk(folder, everything=True))
        except NotAdmitted as e:
            raise NotVerified(f"{entry.name}: {e.message}", hint=hint) from None
        wanted = {f.path: f for f in entry.files}
        for path in sorted(wanted.keys() - there):
            raise NotVerified(f"{entry.name}: {path}: is missing", hint=hint)
        for path in sorted(there - wanted.keys()):
            raise NotVerified(f"{entry.name}: {path}: is not in the lockfile", hint=hint)
        meter = _Meter(progress, f"verifying {entry.name}", entry.size)
        # hashlib lets go of the interpreter, so threads use every core.
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            results = pool.map(lambda f: _same(folder, f, meter), entry.files)
            changed = [f.path for f, same in zip(entry.files, results, strict=True) if not same]
        if changed:
            raise NotVerified(f"{entry.name}: {changed[0]}: was changed", hint=hint)

    # -- writing -------------------------------------------------------------------------------

    def add_folder(
        self,
        source: Path,
        *,
        name: str,
        licence: str = UNKNOWN_LICENCE,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Copy a folder of safetensors, tokenizer and configuration into the store."""
        with self._refusals(check_name(name), "folder"):
            paths = admit(source)
            total = sum((source / p).stat().st_size for p in paths)
            require_space(self._root(), total)
            with staging(self.root) as work:
                meter = _Meter(progress, f"importing {name}", total)
                for path in paths:
                    copy(source / path, work / path, meter)
                # Once more, on the copy: the source may have changed under our hands.
                return self._enter(
                    work, _entry(name, "folder", source.name, licence), replace=replace
                )

    def add_gguf(
        self,
        source: Path,
        *,
        name: str,
        licence: str = UNKNOWN_LICENCE,
        dtype: str = "bfloat16",
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Dequantise a GGUF into the store. Needs the tune or serve extra."""
        from sovereign.weights.gguf import convert

        if not source.is_file():
            raise WeightsError(f"{source}: no such file")
        with self._refusals(check_name(name), "gguf"):
            size = source.stat().st_size
            # Four bits grow to 16 or 32; eight to twice that at most.
            require_space(self._root(), size * (4 if dtype == "bfloat16" else 8))
            with staging(self.root) as work:
                meter = _Meter(progress, f"converting {source.name}", 2 * size)
                _, sha256 = hash_file(source, meter)
                converter = convert(source, work, dtype=dtype)
                meter(size)
                entry = _entry(name, "gguf", source.name, licence)
                entry = dataclasses.replace(entry, source_sha256=sha256, converter=converter)
                return self._enter(work, entry, replace=replace)

    def pull(
        self,
        repo: str,
        *,
        revision: str,
        name: str | None = None,
        licence: str | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Download one commit of a Hub repository (``revision``: all 40 hex digits of it)."""
        from sovereign.weights import hub

        name = check_name(name or repo.rpartition("/")[2].lower())
        with self._refusals(name, "hub"):
            plan = hub.plan(repo, revision)
            total = sum(f.size for f in plan.files)
            require_space(self._root(), total)
            with staging(self.root) as work:
                meter = _Meter(progress, f"pulling {repo}", total)
                hub.fetch(plan, work, meter)
                entry = _entry(name, "hub", repo, licence or plan.licence)
                blobs = {f.path: f.blob for f in plan.files}
                return self._enter(
                    work, dataclasses.replace(entry, commit=revision), blobs=blobs, replace=replace
                )

    def _enter(
        self,
        work: Path,
        entry: Entry,
        *,
        replace: bool,
        blobs: Mapping[str, str] | None = None,
    ) -> Entry:
        """Admit what lies in ``work``, read its papers, and :meth:`keep` it."""
        files = []
        for path in admit(work):
            size, sha256 = hash_file(work / path)
            files.append(File(path, size, sha256, (blobs or {}).get(path)))
        entry = dataclasses.replace(entry, files=tuple(files), digest=digest_of(files))
        return self.keep(work, with_papers(entry, work), replace=replace)

    def keep(self, work: Path, entry: Entry, *, replace: bool = False) -> Entry:
        """Move the finished folder ``work`` into place and write ``entry`` into the lockfile.

        ``work`` lies in :func:`staging` of this store; it was admitted, and its files are what
        ``entry`` says. The import is in the audit log before either happens.
        """
        with exclusive(self.root):
            known = lockfile.load(self.lock)
            old = known.get(entry.name)
            if old is not None and old.digest != entry.digest and not replace:
                raise WeightsError(
                    f"the store already holds other weights named {entry.name!r}",
                    hint="choose another --name, or say --replace",
                )
            # Told before it happens: what the log does not know is not in the store.
            self._tell(
                "weights.import",
                name=entry.name,
                digest=entry.digest,
                seal=seal_of(entry),
                kind=entry.kind,
                licence=entry.licence,
                files=len(entry.files),
                bytes=entry.size,
                **({"commit": entry.commit, "repo": entry.source} if entry.commit else {}),
            )
            move_in(work, self.folder(entry))
            lockfile.save(self.lock, known | {entry.name: entry})
        return entry

    def _root(self) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        return self.root

    @contextmanager
    def _refusals(self, name: str, kind: str) -> Iterator[None]:
        try:
            yield
        except (NotAdmitted, NotVerified) as e:
            self._tell("weights.refuse", name=name, kind=kind, code=e.code)
            raise

    def _tell(self, type: str, **fields: str | int) -> None:
        if self.sink is not None:
            self.sink.submit({"type": type, **fields}).result()


def open_store(config: Config, sink: Sink | None = None) -> Store:
    """The store that ``[weights]`` names."""
    return Store(config.resolve(config.weights.store), config.resolve(config.weights.lock), sink)


class _Meter:
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


def _same(folder: Path, file: File, meter: _Meter) -> bool:
    path = folder / file.path
    if path.stat().st_size != file.size:
        return False
    try:
        return hash_file(path, meter)[1] == file.sha256
    except NotAdmitted:
        return False


def _entry(name: str, kind: str, source: str, licence: str) -> Entry:
    if not LICENCE.fullmatch(licence):
        raise WeightsError("a licence is an SPDX id", hint="such as --licence Apache-2.0")
    return Entry(name=name, kind=kind, source=source, licence=licence, files=(), digest="")
