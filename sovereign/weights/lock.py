"""The lockfile: what is in the store and its papers, as canonical JSON that people review.

One file, sorted, indented by two, with a newline at its end, so that one change is one line of a
diff. It is read strictly. Three things tell that it was edited by hand: bytes that do not
re-serialise to themselves, a ``digest`` that is not that of the files, and a ``seal`` that is not
the hash of all that the entry says. Somebody who computes the seal anew is caught elsewhere: by the
store's bytes, by the seal in the audit log's ``weights.import``, and by the lock's signature.

Nothing in it says from which mirror or on which machine, so two honest pulls give the same bytes.
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
from urllib.parse import quote

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights.admit import check_path

__all__ = [
    "KINDS",
    "VERSION",
    "Base",
    "Entry",
    "File",
    "Gate",
    "Scan",
    "check_name",
    "digest_of",
    "dump",
    "load",
    "named",
    "parse",
    "save",
    "seal_of",
    "write_atomically",
]

VERSION = 2
KINDS = ("folder", "gguf", "hub", "pickle")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
HEX40 = re.compile(r"[0-9a-f]{40}")
HEX64 = re.compile(r"[0-9a-f]{64}")
LICENCE = re.compile(r"[A-Za-z0-9.+-]{1,64}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
VERDICTS = ("clean", "suspicious", "dangerous", "failed")


@dataclass(frozen=True, slots=True)
class File:
    """One file: its path in the model's folder (POSIX), bytes, SHA-256 in hex. ``blob`` is the git
    blob id that the Hub gave and that was computed here, where the file came from there."""

    path: str
    size: int
    sha256: str
    blob: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Who accepted the terms of a gated repository, and when (UTC, to the second). ``kind`` is the
    Hub's word for the gate: ``auto`` or ``manual``."""

    kind: str
    accepted_by: str
    accepted_at: str


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter belongs to, as its own configuration names it."""

    repo: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanner said, one of :data:`VERDICTS`. It advises; nothing enters by it."""

    scanner: str
    version: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the store. ``digest`` is SHA-256 over the canonical JSON of its files.

    ``licence`` is an id, ``licence_sha256`` the hash of its text in the model's folder.
    ``tokenizer`` and ``chat_template`` are SHA-256 hashes; see :mod:`sovereign.weights.papers`.
    """

    name: str
    kind: str
    source: str
    licence: str
    files: tuple[File, ...]
    digest: str
    commit: str | None = None
    source_sha256: str | None = None
    converter: Mapping[str, str] = field(default_factory=dict)
    licence_sha256: str | None = None
    gate: Gate | None = None
    base: Base | None = None
    tokenizer: str | None = None
    chat_template: str | None = None
    scans: tuple[Scan, ...] = ()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(f.size for f in self.files)

    @property
    def purl(self) -> str | None:
        """The package URL of a Hub commit: ``pkg:huggingface/OWNER/NAME@COMMIT``.

        https://github.com/package-url/purl-spec: the version is lower case, the name as it is.
        """
        if self.commit is None:
            return None
        return f"pkg:huggingface/{quote(self.source, safe='/.-_~')}@{self.commit}"


def check_name(name: str) -> str:
    """``name`` if it can be a model's name in the store; it is a folder name too."""
    if not NAME.fullmatch(name) or ".." in name:
        raise WeightsError(
            f"{name!r} cannot be a name in the store",
            hint="lower-case letters, digits, '.', '_' and '-', 64 at most",
        )
    return name


def named(name: str, kind: str, source: str, licence: str) -> Entry:
    """An entry that has no files yet. Raises :class:`WeightsError` if ``licence`` is no id."""
    if not LICENCE.fullmatch(licence):
        raise WeightsError("a licence is an SPDX id", hint="such as --licence Apache-2.0")
    return Entry(name=name, kind=kind, source=source, licence=licence, files=(), digest="")


def digest_of(files: Iterable[File]) -> str:
    """SHA-256, in hex, over path, size and hash of every file, in order of path. Where the files
    came from is not in it: the same bytes have the same digest."""
    rows = [
        {"path": f.path, "sha256": f.sha256, "size": f.size}
        for f in sorted(files, key=lambda f: f.path)
    ]
    return _hash(rows)


def seal_of(entry: Entry) -> str:
    """SHA-256, in hex, over all that the lockfile says of ``entry``, its name included."""
    return _hash({"name": entry.name} | _row(entry))


def load(path: Path) -> dict[str, Entry]:
    """Every entry by name; empty if there is no lockfile yet. Raises :class:`NotVerified`."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise NotVerified(f"{path}: {e.strerror}") from None
    return parse(raw, str(path))


def parse(raw: bytes, what: str) -> dict[str, Entry]:
    """Every entry of the lockfile ``raw`` by name. ``what`` names it in :class:`NotVerified`."""
    hint = "restore the lockfile from git; it is never edited by hand"
    try:
        data = json.loads(raw)
        version = data["version"]
        if version == 1:
            hint = "version 1 had no papers: move it away, then import and pull again"
        if type(version) is not int or version != VERSION:
            raise ValueError
        rows = data["models"].items()
        entries = {name: _entry(name, row) for name, row in rows}
        seals = {name: row["seal"] for name, row in rows}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, WeightsError):
        raise NotVerified(f"{what}: not a lockfile of version {VERSION}", hint=hint) from None
    for name, entry in entries.items():
        if entry.digest != digest_of(entry.files):
            raise NotVerified(
                f"{what}: {name}: its files and its digest do not belong together", hint=hint
            )
        if seals[name] != seal_of(entry):
            raise NotVerified(f"{what}: {name}: was edited, its seal is broken", hint=hint)
    if dump(entries) != raw:
        raise NotVerified(
            f"{what}: not in canonical form, so not as it was written",
            hint=hint,
        )
    return entries


def save(path: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the lockfile as a whole."""
    write_atomically(path, dump(entries))


def dump(entries: Mapping[str, Entry]) -> bytes:
    """The lockfile's bytes; :func:`parse` takes no others."""
    models = {e.name: _row(e) | {"seal": seal_of(e)} for e in entries.values()}
    data = {"version": VERSION, "models": models}
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """``data`` at ``path``, durably, or nothing at all: readers never see a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(out.fileno(), mode)
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


def _hash(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _row(entry: Entry) -> dict[str, Any]:
    """What is not known is not there: no nulls to review."""
    gate, base = entry.gate, entry.base
    row: dict[str, Any] = {
        "kind": entry.kind,
        "source": entry.source,
        "licence": _known(id=entry.licence, sha256=entry.licence_sha256),
        "digest": entry.digest,
        "files": [
            _known(path=f.path, size=f.size, sha256=f.sha256, blob=f.blob)
            for f in sorted(entry.files, key=lambda f: f.path)
        ],
    }
    return row | _known(
        commit=entry.commit,
        purl=entry.purl,
        source_sha256=entry.source_sha256,
        converter=dict(entry.converter) or None,
        gate=gate
        and {
            "kind": gate.kind,
            "accepted_by": gate.accepted_by,
            "accepted_at": gate.accepted_at,
        },
        base=base and _known(repo=base.repo, revision=base.revision),
        tokenizer_sha256=entry.tokenizer,
        chat_template_sha256=entry.chat_template,
        scans=[
            {"scanner": s.scanner, "version": s.version, "verdict": s.verdict} for s in entry.scans
        ]
        or None,
    )


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _entry(name: str, row: Any) -> Entry:
    """``row`` as an :class:`Entry`; what raises here makes :func:`parse` refuse the file. A key
    that is not read here is found when the entries are written again and compared."""
    licence, gate, base = row["licence"], row.get("gate"), row.get("base")
    converter = {_text(k): _text(v) for k, v in row.get("converter", {}).items()}
    return Entry(
        name=check_name(name),
        kind=_one_of(KINDS, row["kind"]),
        source=_text(row["source"]),
        licence=_text(licence["id"]),
        files=tuple(_file(f) for f in row["files"]),
        digest=_hex(HEX64, row["digest"]),
        commit=_hex(HEX40, row["commit"]) if "commit" in row else None,
        source_sha256=_maybe_sha256(row, "source_sha256"),
        converter=converter,
        licence_sha256=_maybe_sha256(licence, "sha256"),
        gate=None
        if gate is None
        else Gate(
            _one_of(("auto", "manual"), gate["kind"]),
            _text(gate["accepted_by"]),
            _hex(MOMENT, gate["accepted_at"]),
        ),
        base=None
        if base is None
        else Base(_text(base["repo"]), _text(base["revision"]) if "revision" in base else None),
        tokenizer=_maybe_sha256(row, "tokenizer_sha256"),
        chat_template=_maybe_sha256(row, "chat_template_sha256"),
        scans=tuple(
            Scan(_text(s["scanner"]), _text(s["version"]), _one_of(VERDICTS, s["verdict"]))
            for s in row.get("scans", [])
        ),
    )


def _file(row: Any) -> File:
    size = row["size"]
    if type(size) is not int or size < 0:
        raise ValueError
    blob = _hex(HEX40, row["blob"]) if "blob" in row else None
    return File(check_path(row["path"]), size, _hex(HEX64, row["sha256"]), blob)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _hex(shape: re.Pattern[str], value: Any) -> str:
    if not shape.fullmatch(_text(value)):
        raise ValueError
    return str(value)


def _one_of(words: tuple[str, ...], value: Any) -> str:
    if value not in words:
        raise ValueError
    return str(value)


def _maybe_sha256(row: Any, key: str) -> str | None:
    return _hex(HEX64, row[key]) if key in row else None
