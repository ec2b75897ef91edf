"""The store: what it hands out was checked, byte by byte, against the lockfile just before.

Layout: ``ROOT/<name>/<first 12 of digest>/``. Which digest a name stands for, only the lockfile
says; a folder that it does not name is never handed out. What comes in by the network comes through
:mod:`sovereign.weights.pull`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sovereign.errors import NotAdmitted, NotVerified, WeightsError
from sovereign.types import Sink
from sovereign.weights import lock as lockfile
from sovereign.weights.admit import admit, walk
from sovereign.weights.lock import Entry, File, check_name, digest_of, named, seal_of
from sovereign.weights.papers import with_papers
from sovereign.weights.rules import Rules
from sovereign.weights.staging import (
    Meter,
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

ANYTHING = Rules()
UNKNOWN_LICENCE = "unknown"


class Store:
    """Verified weights below ``root``, as ``lock`` says. ``sink`` takes the audit events; ``rules``
    say what may enter and what was revoked."""

    def __init__(
        self, root: Path, lock: Path, sink: Sink | None = None, rules: Rules = ANYTHING
    ) -> None:
        self.root = root
        self.lock = lock
        self.sink = sink
        self.rules = rules

    # -- reading -------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """Everything in the lockfile, by name."""
        return sorted(self._locked().values(), key=lambda e: e.name)

    def entry(self, name: str) -> Entry:
        """One entry. Raises :class:`WeightsError` if the lockfile does not know ``name``."""
        known = self._locked()
        if name not in known:
            there = ", ".join(sorted(known)) or "nothing yet"
            raise WeightsError(f"no weights named {name!r} in the store", hint=f"there is: {there}")
        return known[name]

    def _locked(self) -> dict[str, Entry]:
        try:
            return lockfile.load(self.lock)
        except NotVerified as e:  # edited, cut short, of another version: somebody should know
            self._tell("weights.refuse", code=e.code)
            raise

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
            self.rules.check_standing(entry)
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
        meter = Meter(progress, f"verifying {entry.name}", entry.size)
        # hashlib lets go of the interpreter, so threads use every core.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
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
        with self.refusals(check_name(name), "folder"):
            paths = admit(source)
            total = sum((source / p).stat().st_size for p in paths)
            require_space(self._root(), total)
            with staging(self.root) as work:
                meter = Meter(progress, f"importing {name}", total)
                for path in paths:
                    copy(source / path, work / path, meter)
                # Once more, on the copy: the source may have changed under our hands.
                return self.enter(
                    work, named(name, "folder", source.name, licence), replace=replace
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
        with self.refusals(check_name(name), "gguf"):
            size = source.stat().st_size
            # Four bits grow to 16 or 32; eight to twice that at most.
            require_space(self._root(), size * (4 if dtype == "bfloat16" else 8))
            with staging(self.root) as work:
                meter = Meter(progress, f"converting {source.name}", 2 * size)
                _, sha256 = hash_file(source, meter)
                converter = convert(source, work, dtype=dtype)
                meter(size)
                entry = named(name, "gguf", source.name, licence)
                entry = dataclasses.replace(entry, source_sha256=sha256, converter=converter)
                return self.enter(work, entry, replace=replace)

    def add_pickle(
        self,
        source: Path,
        *,
        name: str,
        licence: str = UNKNOWN_LICENCE,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Convert torch's pickles in ``source``, in processes that can reach nothing, and take the
        safetensors into the store. Needs the tune or serve extra."""
        from sovereign.weights.convert import convert

        with self.refusals(check_name(name), "pickle"):
            files = [source] if source.is_file() else [source / p for p in walk(source)]
            size = sum(f.stat().st_size for f in files)
            require_space(self._root(), size)
            with staging(self.root) as work:
                meter = Meter(progress, f"converting {source.name}", size)
                sha256, converter, scans = convert(source, work)
                meter(size)
                entry = dataclasses.replace(
                    named(name, "pickle", source.name, licence),
                    source_sha256=sha256,
                    converter=converter,
                    scans=scans,
                )
                return self.enter(work, entry, replace=replace)

    def pull(
        self,
        repo: str,
        *,
        revision: str = "main",
        name: str | None = None,
        licence: str | None = None,
        accepted_by: str | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Download one commit of a Hub repository; see :func:`sovereign.weights.pull.pull`."""
        from sovereign.weights.pull import Order, pull

        order = Order(repo, revision, name, licence, accepted_by, replace)
        return pull(self, order, progress=progress)

    def enter(
        self,
        work: Path,
        entry: Entry,
        *,
        replace: bool = False,
        known: Mapping[str, File] = MappingProxyType({}),
    ) -> Entry:
        """Admit what lies in ``work``, read its papers, and :meth:`keep` it.

        ``known`` holds the files that were hashed on their way in; others are hashed here.
        """
        files = tuple(
            known.get(path) or File(path, *hash_file(work / path)) for path in admit(work)
        )
        entry = dataclasses.replace(entry, files=files, digest=digest_of(files))
        self.rules.check_licence(entry.licence, entry.name)
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
    def refusals(self, name: str, kind: str) -> Iterator[None]:
        """A refusal inside the block goes to the audit log before it is raised."""
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
    given = config.weights
    rules = Rules(given.licences, given.repositories, given.hosts, given.revoked)
    return Store(config.resolve(given.store), config.resolve(given.lock), sink, rules)


def _same(folder: Path, file: File, meter: Meter) -> bool:
    path = folder / file.path
    if path.stat().st_size != file.size:
        return False
    try:
        return hash_file(path, meter)[1] == file.sha256
    except NotAdmitted:
        return False
