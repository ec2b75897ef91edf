"""The lockfile: what is in the store, as canonical JSON that people review and git diffs well.

One file, sorted, indented by two, with a newline at its end. It is read strictly: what does not
re-serialise to the same bytes was edited by hand, and is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights.admit import check_path

__all__ = ["Entry", "File", "check_name", "digest_of", "load", "save", "write_atomically"]

VERSION = 1
KINDS = ("folder", "gguf", "hub")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
HEX40 = re.compile(r"[0-9a-f]{40}")
HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """One file: its path in the model's folder (POSIX), bytes, SHA-256 in hex. ``blob`` is the git
    blob id that the Hub gave, where the file came from there."""

    path: str
    size: int
    sha256: str
    blob: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the store. ``digest`` is SHA-256 over the canonical JSON of its files."""

    name: str
    kind: str
    source: str
    licence: str
    files: tuple[File, ...]
    digest: str
    commit: str | None = None
    source_sha256: str | None = None
    converter: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(f.size for f in self.files)


def check_name(name: str) -> str:
    """``name`` if it can be a model's name in the store; it is a folder name too."""
    if not NAME.fullmatch(name) or ".." in name:
        raise WeightsError(
            f"{name!r} cannot be a name in the store",
            hint="lower-case letters, digits, '.', '_' and '-', 64 at most",
        )
    return name


def digest_of(files: Iterable[File]) -> str:
    """SHA-256, in hex, over path, size and hash of every file, in order of path. Where the files
    came from is not in it: the same bytes have the same digest."""
    rows = [
        {"path": f.path, "sha256": f.sha256, "size": f.size}
        for f in sorted(files, key=lambda f: f.path)
    ]
    canonical = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def load(path: Path) -> dict[str, Entry]:
    """Every entry by name; empty if there is no lockfile yet. Raises :class:`NotVerified`."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise NotVerified(f"{path}: {e.strerror}") from None
    try:
        data = json.loads(raw)
        if data["version"] != VERSION:
            raise ValueError
        entries = {name: _entry(name, row) for name, row in data["models"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, WeightsError):
        raise NotVerified(
            f"{path}: not a lockfile of version {VERSION}", hint="restore it from git"
        ) from None
    for entry in entries.values():
        if entry.digest != digest_of(entry.files):
            raise NotVerified(
                f"{path}: {entry.name}: its files and its digest do not belong together",
                hint="restore the lockfile from git; it is never edited by hand",
            )
    if _dump(entries) != raw:
        raise NotVerified(
            f"{path}: not in canonical form, so not as it was written",
            hint="restore the lockfile from git; it is never edited by hand",
        )
    return entries


def save(path: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the lockfile as a whole."""
    write_atomically(path, _dump(entries))


def write_atomically(path: Path, data: bytes) -> None:
    """``data`` at ``path``, durably, or nothing at all: readers never see a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _dump(entries: Mapping[str, Entry]) -> bytes:
    data = {"version": VERSION, "models": {n: _row(e) for n, e in entries.items()}}
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": entry.kind,
        "source": entry.source,
        "licence": entry.licence,
        "digest": entry.digest,
        "files": [
            {"path": f.path, "size": f.size, "sha256": f.sha256}
            | ({"blob": f.blob} if f.blob else {})
            for f in sorted(entry.files, key=lambda f: f.path)
        ],
    }
    if entry.commit:
        row["commit"] = entry.commit
    if entry.source_sha256:
        row["source_sha256"] = entry.source_sha256
    if entry.converter:
        row["converter"] = dict(entry.converter)
    return row


def _entry(name: str, row: Any) -> Entry:
    """``row`` as an :class:`Entry`; what raises here makes :func:`load` refuse the file."""
    check_name(name)
    files = tuple(_file(f) for f in row["files"])
    commit = row.get("commit")
    source_sha256 = row.get("source_sha256")
    converter = dict(row.get("converter", {}))
    texts = [row["source"], row["licence"], *converter.values(), *converter]
    if row["kind"] not in KINDS or not all(isinstance(t, str) for t in texts):
        raise ValueError
    if commit is not None and not HEX40.fullmatch(commit):
        raise ValueError
    for sha in (row["digest"], *([source_sha256] if source_sha256 is not None else [])):
        if not HEX64.fullmatch(sha):
            raise ValueError
    return Entry(
        name=name,
        kind=row["kind"],
        source=row["source"],
        licence=row["licence"],
        files=files,
        digest=row["digest"],
        commit=commit,
        source_sha256=source_sha256,
        converter=converter,
    )


def _file(row: Any) -> File:
    size, sha256, blob = row["size"], row["sha256"], row.get("blob")
    if type(size) is not int or size < 0 or not HEX64.fullmatch(sha256):
        raise ValueError
    if blob is not None and not HEX40.fullmatch(blob):
        raise ValueError
    return File(check_path(row["path"]), size, sha256, blob)
