"""PDF and Office documents, by the guard's reading process, which can reach nothing.

Pictures, and pages that are pictures, are unread unless OCR is asked for.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterator

from sovereign.errors import SovereignError
from sovereign.guard.documents import DocumentLimits, Documents
from sovereign.scan.readers.values import pieces
from sovereign.scan.record import Direction, Record, Source, Unread
from sovereign.scan.source import Stream

__all__ = ["OfficeReader", "PdfReader"]

LARGEST = 64_000_000
"""Bytes of a document."""
LIMITS = DocumentLimits(
    max_unpacked=400_000_000,
    max_members=20_000,
    max_pages=5_000,
    max_text=50_000_000,
    seconds=300.0,
)


@functools.cache
def _documents(ocr: str) -> Documents:
    made = Documents(LIMITS, ocr=ocr)
    atexit.register(made.close)
    return made


class PdfReader:
    """PDF: a record for every page or other place that has a text."""

    name = "pdf"

    def __init__(self, ocr: str = "none") -> None:
        self._ocr = ocr

    def claims(self, name: str, head: bytes) -> bool:
        return b"%PDF-" in head[:1024]

    def read(self, source: Source, resume: int = 0) -> Iterator[Record | Unread]:
        for number, item in enumerate(_items(source, self._ocr), 1):
            if number > resume:
                yield item._replace(resume=number)


class OfficeReader(PdfReader):
    """DOCX, XLSX, PPTX and OpenDocument: ZIP archives that are named so or start so."""

    name = "office"

    def claims(self, name: str, head: bytes) -> bool:
        return head.startswith(b"PK\x03\x04") and (
            b"[Content_Types].xml" in head
            or head[30:38] == b"mimetype"
            or name.lower().endswith(_ENDINGS)
        )


_ENDINGS = (".docx", ".xlsx", ".pptx", ".docm", ".xlsm", ".pptm", ".odt", ".ods", ".odp")


def _items(source: Source, ocr: str) -> Iterator[Record | Unread]:
    with Stream(source) as stream:
        data = stream.read(LARGEST + 1)
        failure = stream.failure
    if failure:
        yield Unread(failure)
    if len(data) > LARGEST:
        yield Unread(f"a document of over {LARGEST} bytes")
        return
    try:
        document = _documents(ocr).read(data, source.name)
    except SovereignError as e:
        yield Unread(e.message)
        return
    for number, text in enumerate(document.texts, 1):
        fields = tuple(pieces(text.place, text.text, Direction.STORED, None, "utf-8"))
        unit = "page" if text.place.startswith("page") else "part"
        yield Record(number, unit, fields, 0)
    for words in document.unread:
        yield Unread(words)
