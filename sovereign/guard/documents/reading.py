"""One document into its texts, and into the bytes that may leave in its place.

Runs in the reading process. What has no reader here cannot be read.
"""

from __future__ import annotations

from sovereign.guard.documents import archive, kinds, mail, office
from sovereign.guard.documents.limits import Job
from sovereign.guard.documents.text import decode

__all__ = ["read"]


def read(data: bytes, name: str, job: Job, declared: str = "") -> bytes:
    """Everything that ``data`` says into ``job``; what may leave in its place. If the job has
    anything unread afterwards, nothing of it may. Raises :class:`~.limits.TooMuch`."""
    kind = kinds.kind_of(data, name, declared)
    if not data:
        return b""
    if kinds.contradicts(kind, declared):
        job.cannot("a file that is not what it says it is")
        return b""
    if kind in kinds.TEXTS:
        text = decode(data, declared)
        if text is None:
            job.cannot(kinds.WORDS["binary"])
            return b""
        job.text("", text)
        return text.encode()
    if kind == "pdf":
        from sovereign.guard.documents import pdf

        return pdf.read(data, job, read)
    if kind == "eml":
        return mail.read(data, job, read)
    if kind == "zip":
        files = list(archive.members(data, job))
        if office.is_office([name for name, _ in files]):
            return office.read(files, job, read)
        return archive.read(files, job, read)
    if kinds.MEDIA_TYPES.get(kind, "").startswith("image/"):
        from sovereign.guard.documents import picture

        return picture.read(data, kind, job)
    job.cannot(kinds.WORDS.get(kind, "audio inside a document"))
    return b""
