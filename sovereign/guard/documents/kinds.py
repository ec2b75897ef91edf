"""What a document is, by its first bytes; its name and declared type only tell texts apart.

A declared type that the bytes contradict makes it unreadable: two programs would read two things.
"""

from __future__ import annotations

__all__ = ["MEDIA_TYPES", "TEXTS", "contradicts", "kind_of"]

MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "eml": "message/rfc822",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "html": "text/html",
    "text": "text/plain",
}

TEXTS = frozenset({"text", "html"})
"""Read and written as text, in this process: there is nothing to parse."""

_HTML = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml"})
_HTML_NAMES = (".html", ".htm", ".xhtml", ".svg", ".xml")
_TEXT_TYPES = ("text/", "application/json", "application/x-ndjson", "application/jsonl")
_OPEN = ("", "application/octet-stream", "binary/octet-stream", "application/x-download")


def kind_of(data: bytes, name: str = "", declared: str = "") -> str:
    """A key of :data:`MEDIA_TYPES`, or what it is instead: ``"ole"``, ``"audio"``, ``"binary"``
    …"""
    head = data[:16]
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF":
        return {b"WAVE": "wav", b"WEBP": "webp"}.get(head[8:12], "binary")
    if head[4:8] == b"ftyp":
        return "heic" if head[8:11] in (b"hei", b"mif", b"avi") else "video"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2:
        return "mp3"
    lower, media = name.lower(), plain_type(declared)
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if lower.endswith(".eml") or media == "message/rfc822":
        return "eml"
    first = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    shown = first.startswith((b"<!doctype", b"<html", b"<svg", b"<?xml"))
    if media in _HTML or lower.endswith(_HTML_NAMES) or shown:
        return "html"
    return "text"


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\0", "archive"),
    (b"ID3", "mp3"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
    (b"\x1aE\xdf\xa3", "video"),
)

WORDS = {
    "ole": "an old Office file, or an encrypted one",
    "archive": "an archive that is no ZIP",
    "heic": "a picture in a format that is not read",
    "audio": "audio in a format that is not read",
    "video": "video or audio in a format that is not read",
    "binary": "a file of an unknown format",
}
"""What is not read, in words."""


def plain_type(declared: str) -> str:
    """``text/html`` of ``text/html; charset=utf-8``."""
    return declared.partition(";")[0].strip().lower()


def contradicts(kind: str, declared: str) -> bool:
    """Whether ``declared`` says that it is something else than it is."""
    media = plain_type(declared)
    if media in _OPEN or media == MEDIA_TYPES.get(kind):
        return False
    if kind in TEXTS or kind == "eml":
        return media.startswith(("image/", "audio/", "video/")) and media not in _HTML
    if kind == "zip":
        return media.startswith(("image/", "audio/", "video/", "text/")) or media.endswith("/pdf")
    if kind in ("wav", "mp3"):
        return not media.startswith(("audio/", "video/"))
    if MEDIA_TYPES.get(kind, "").startswith("image/"):
        return media not in ("image/jpg", "image/pjpeg", "image/x-png")
    return kind == "pdf" and media != "application/x-pdf"
