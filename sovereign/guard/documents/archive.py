"""ZIP: every member read as a document of its own, and the archive written again from what was
read.

Office files (OOXML, OpenDocument) are ZIPs of XML parts: :mod:`sovereign.guard.documents.office`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator

from sovereign.guard.documents.limits import Job

__all__ = ["members", "read", "written"]

EPOCH = (1980, 1, 1, 0, 0, 0)


def read(
    files: list[tuple[str, bytes]], job: Job, inner: Callable[[bytes, str, Job], bytes]
) -> bytes:
    """Every file through ``inner``; the archive as it may leave."""
    clean: list[tuple[str, bytes]] = []
    for name, content in files:
        job.text("file name", name)
        inside = job.inside(f"file {len(clean) + 1}")
        clean.append((name, inner(content, name, inside)))
    return written(clean)


def members(data: bytes, job: Job) -> Iterator[tuple[str, bytes]]:
    """The files of a ZIP, unpacked under the bounds. Of a broken or encrypted one: nothing, and a
    word in ``job``. Names that stand twice are two truths, and refused as well."""
    seen: set[str] = set()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                job.budget.member()
                if info.is_dir():
                    continue
                if info.flag_bits & 0x1:
                    job.cannot("an encrypted file in an archive")
                    return
                if info.filename in seen or info.filename.startswith("/") or ".." in info.filename:
                    job.cannot("an archive whose file names are not sound")
                    return
                seen.add(info.filename)
                yield info.filename, _unpacked(archive, info, job)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError):
        job.cannot("a damaged archive")
    except RuntimeError:
        job.cannot("an encrypted file in an archive")


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, job: Job) -> bytes:
    """What a member holds, whatever its header says of its size."""
    pieces, size = [], 0
    with archive.open(info) as member:
        while piece := member.read(1 << 16):
            size += len(piece)
            job.budget.unpack(len(piece))
            job.budget.packed(size, info.compress_size)
            pieces.append(piece)
    return b"".join(pieces)


def written(files: list[tuple[str, bytes]]) -> bytes:
    """A ZIP of these files and nothing else: no comments, times or extra fields."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            # "mimetype" comes first and unpacked, as OpenDocument and EPUB want it.
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = how
            archive.writestr(info, content)
    return out.getvalue()
