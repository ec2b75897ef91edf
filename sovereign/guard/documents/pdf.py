"""PDF: the text layer of every page, hidden text included; every string of every object (notes,
form fields, bookmarks, scripts); attachments; and OCR of pictures and of pages without sound text.

What may leave is written again from the objects that can be reached, without document information,
XMP and piece info, so no older revision and no trailing bytes go along.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

from sovereign.guard.documents.limits import Job
from sovereign.guard.documents.picture import ocr_text

__all__ = ["read"]

DPI = 150
CURVES = 400
"""A page with more path objects may draw its letters: it is read as a picture too."""
SMALLEST = 24
"""Pixels: a picture lower or narrower holds no text."""
_PRIVATE = ("/Metadata", "/PieceInfo", "/LastModified", "/Thumb")
_INLINE = ("BDC", "DP")


def read(data: bytes, job: Job, inner: Callable[[bytes, str, Job], bytes]) -> bytes:
    """Everything of one PDF into ``job``; the file as it may leave."""
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").disabled = True
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted:
            job.cannot("an encrypted PDF")
            return b""
        for _ in range(len(reader.pages)):
            job.budget.page()
        writer = pypdf.PdfWriter(clone_from=reader)
        writer.metadata = None
        _objects(writer, job, inner)
        out = io.BytesIO()
        writer.write(out)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError,
            RecursionError, AssertionError, NotImplementedError):  # fmt: skip
        # A reader of hostile files fails in every way; none of them lets the file pass.
        job.cannot("a damaged PDF")
        return b""
    clean = out.getvalue()
    _pages(clean, job)
    return clean


def _objects(writer: Any, job: Job, inner: Callable[[bytes, str, Job], bytes]) -> None:
    """Every string of every object that will be written, and every file inside."""
    from pypdf.generic import DictionaryObject, StreamObject

    said: dict[str, None] = {}
    for number, held in enumerate(writer._objects):
        if held is None:
            continue
        if isinstance(held, DictionaryObject):
            for name in _PRIVATE:
                held.pop(name, None)
            if held.get("/Type") in ("/Metadata", "/EmbeddedFile") and isinstance(
                held, StreamObject
            ):
                content = held.get_data()
                job.budget.unpack(len(content))
                inner(content, "", job.inside(f"attachment {number}"))
                continue
            if "/JS" in held and isinstance(held["/JS"], StreamObject):
                said[held["/JS"].get_data().decode("latin-1")] = None
            if held.get("/XFA") is not None:
                job.cannot("an XFA form in a PDF")
        said.update(dict.fromkeys(_strings(held, 0)))
    for page in writer.pages:
        said.update(dict.fromkeys(_marked(page, writer)))
    job.text("notes and fields", "\n".join(s for s in said if len(s) > 2))


def _strings(held: Any, depth: int) -> Iterator[str]:
    """The strings in an object, without following references: each object has its own turn."""
    from pypdf.generic import ArrayObject, ByteStringObject, DictionaryObject, TextStringObject

    if depth > 50:
        raise ValueError("a PDF object is nested too deep")
    if isinstance(held, TextStringObject):
        yield str(held)
    elif isinstance(held, ByteStringObject):
        text = bytes(held).decode("latin-1")
        if text.isprintable():
            yield text
    elif isinstance(held, DictionaryObject):
        # Checksums, ids and widths are bytes and numbers, no text.
        for name in held:
            if name not in ("/ID", "/CheckSum", "/W", "/Widths"):
                yield from _strings(held.raw_get(name), depth + 1)
    elif isinstance(held, ArrayObject):
        for value in list.__iter__(held):
            yield from _strings(value, depth + 1)


def _marked(page: Any, writer: Any) -> Iterator[str]:
    """Text that a content stream says of itself: ActualText, alternate descriptions."""
    from pypdf.generic import ContentStream

    contents = page.get_contents()
    if contents is None or not any(mark.encode() in contents.get_data() for mark in _INLINE):
        return
    for operands, operator in ContentStream(contents, writer).operations:
        if operator in (b"BDC", b"DP"):
            for operand in operands:
                yield from _strings(operand, 0)


def _pages(data: bytes, job: Job) -> None:
    """What each page shows, from the very bytes that may leave."""
    import pypdfium2 as pdfium
    from pypdfium2 import raw

    try:
        document = pdfium.PdfDocument(data)
        for number in range(len(document)):
            page = document[number]
            text = page.get_textpage().get_text_range(errors="replace")
            job.text(f"page {number + 1}", text)
            paths, pictures = 0, []
            for item in page.get_objects(max_depth=4):
                paths += item.type == raw.FPDF_PAGEOBJ_PATH
                if item.type == raw.FPDF_PAGEOBJ_IMAGE:
                    pictures.append(item)
            alone = len(pictures) == 1 and not paths and not text.strip()
            if alone and _shown_whole(pictures[0], page):
                pictures.clear()  # a scan: what the page shows is all there is
            # A covered or cropped picture is whole in the file, so it is read by itself as well.
            for picture in pictures:
                _picture(picture, f"page {number + 1}", job)
            if pictures or paths > CURVES or not _sound(text):
                job.budget.pixels(*(int(side * DPI / 72) for side in page.get_size()))
                _ocr(page.render(scale=DPI / 72).to_pil(), f"page {number + 1}", job)
    except (pdfium.PdfiumError, ValueError, OSError, MemoryError):
        job.cannot("a damaged PDF")


def _shown_whole(item: Any, page: Any) -> bool:
    left, bottom, right, top = page.get_cropbox()
    a, b, c, d = item.get_bounds()
    return bool(left - 1 <= a and bottom - 1 <= b and c <= right + 1 and d <= top + 1)


def _picture(item: Any, place: str, job: Job) -> None:
    width, height = item.get_px_size()
    job.budget.pixels(width, height)
    if min(width, height) >= SMALLEST:
        _ocr(item.get_bitmap(render=False).to_pil(), place, job)


def _ocr(picture: Any, place: str, job: Job) -> None:
    if job.ocr == "none":
        job.cannot("a picture in a PDF, and no OCR is configured")
        return
    text, _ = ocr_text(picture.convert("RGB"), job.ocr)
    job.text(f"{place}, picture", text)


def _sound(text: str) -> bool:
    """Whether a text layer is text: fonts without a map give letters that mean nothing."""
    shown = [c for c in text if not c.isspace()]
    odd = sum(not c.isprintable() or c == "\ufffd" or "\ue000" <= c <= "\uf8ff" for c in shown)
    return bool(shown) and odd * 20 < len(shown)
