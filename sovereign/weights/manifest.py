"""The manifest of a bundle: what it holds, and from that the exact bytes of its parts.

A bundle's parts are one tar archive, cut at fixed sizes (``cat part-* | tar -t`` reads it). Which
bytes the archive has between the files' contents follows from the manifest alone. So nobody parses
a stranger's archive: it is compared with what the manifest makes, and there is no room in it for
another path, a link, a device, a second file of one name, or a byte more.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights.admit import check_path
from sovereign.weights.lock import File

__all__ = [
    "LOCK",
    "MANIFEST",
    "SIGNATURE",
    "SIZES",
    "Manifest",
    "Slice",
    "cut",
    "dump",
    "parse",
    "part_name",
    "part_size",
]

VERSION = 1
MANIFEST = "bundle.json"
SIGNATURE = "bundle.sig"
LOCK = "sovereign.lock"
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
SIZES = {"4gb": 4_000_000_000, "dvd": 4_700_000_000, "bluray": 25_000_000_000}
"""``4gb`` fits FAT32, whose files end at 2^32 - 1 bytes."""
LEAST = 1 << 16
MOST_PARTS = 99_999
"""So that names sort as the parts follow each other, and that a manifest, which is read before its
signature, cannot name more than memory holds."""
HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """``beside`` lie openly in the bundle's folder, ``files`` in the parts, as ``MODEL/PATH``, in
    that order; a part has ``limit`` bytes at most."""

    limit: int
    files: tuple[File, ...]
    beside: tuple[File, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts. They have no hashes: what is in them follows from ``files``.
        Raises :class:`WeightsError` if there are more than :data:`MOST_PARTS`."""
        size = sum(p.size for p in _archive(self.files))
        count = -(-size // self.limit)
        if count > MOST_PARTS:
            raise WeightsError(
                f"more than {MOST_PARTS} parts of {self.limit} bytes", hint="make larger parts"
            )
        return tuple(part_name(n) for n in range(count))


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of bytes of one part: ``raw`` itself, or ``size`` bytes of ``file`` from ``at``."""

    file: File
    at: int
    size: int
    raw: bytes | None = None


def part_name(number: int) -> str:
    """The file name of part ``number``, from 0; names sort as the parts follow each other."""
    return f"part-{number + 1:05}.tar"


def part_size(text: str) -> int:
    """A preset of :data:`SIZES`, or bytes. Raises :class:`WeightsError`."""
    size = SIZES.get(text.lower(), 0) or (int(text) if text.isascii() and text.isdigit() else 0)
    if size < LEAST:
        raise WeightsError(
            f"{text!r} is no size of a part", hint=f"{', '.join(SIZES)}, or bytes from {LEAST}"
        )
    return size


def cut(manifest: Manifest) -> Iterator[list[Slice]]:
    """The archive, part by part."""
    part: list[Slice] = []
    room = manifest.limit
    for piece in _archive(manifest.files):
        at, left = piece.at, piece.size
        while left:
            size = min(left, room)
            raw = None if piece.raw is None else piece.raw[at : at + size]
            part.append(Slice(piece.file, at, size, raw))
            at, left, room = at + size, left - size, room - size
            if not room:
                yield part
                part, room = [], manifest.limit
    if part:
        yield part


def dump(manifest: Manifest) -> bytes:
    """Canonical JSON for review; :func:`parse` takes no other bytes."""
    data = {
        "version": VERSION,
        "part_size": manifest.limit,
        "parts": len(manifest.parts),
        "files": [_row(f) for f in manifest.files],
        "beside": [_row(f) for f in manifest.beside],
    }
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse(raw: bytes) -> Manifest:
    """The manifest in ``raw``. Raises :class:`NotVerified`."""
    try:
        data = json.loads(raw)
        if type(data["version"]) is not int or data["version"] != VERSION:
            raise ValueError
        limit = data["part_size"]
        if type(limit) is not int or limit < LEAST:
            raise ValueError
        found = Manifest(limit, _files(data["files"]), _files(data["beside"]))
        if dump(found) != raw:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, WeightsError):
        raise NotVerified(f"{MANIFEST}: not a manifest of version {VERSION}") from None
    names: set[str] = set()
    for file in (*found.files, *found.beside):
        if file.path in names:
            raise NotVerified(f"{MANIFEST}: {file.path}: is named twice")
        names.add(file.path)
    return found


def _archive(files: tuple[File, ...]) -> Iterator[Slice]:
    for file in files:
        info = tarfile.TarInfo(file.path)
        info.size, info.mode = file.size, 0o444
        head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        yield Slice(file, 0, len(head), head)
        yield Slice(file, 0, file.size)
        fill = bytes(-file.size % BLOCK)
        yield Slice(file, 0, len(fill), fill)
    if files:
        yield Slice(files[-1], 0, len(END), END)


def _row(file: File) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.sha256}


def _files(rows: Any) -> tuple[File, ...]:
    return tuple(File(check_path(r["path"]), _size(r["size"]), _hash(r["sha256"])) for r in rows)


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not HEX64.fullmatch(value):
        raise ValueError
    return value
