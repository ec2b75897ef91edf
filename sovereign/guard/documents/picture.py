"""Pictures: decoded, read by OCR, and written again from their pixels, so that nothing else of them
(EXIF, comments, colour profiles, transparent pixels, trailing bytes) can leave."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageDraw

from sovereign.guard.documents import ocr
from sovereign.guard.documents.limits import Job, Parts

__all__ = ["black_out", "ocr_text", "read"]

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF"}
SMALL = 1000
"""Pixels. A picture that is lower and narrower is read at twice its size: small type is read
better."""

_engines: dict[str, ocr.Engine] = {}


def read(data: bytes, kind: str, job: Job) -> bytes:
    """Its text into ``job``; the picture as it may leave."""
    picture = _decoded(data, kind, job)
    if picture is None:
        return b""
    if job.ocr == "none":
        job.cannot("a picture, and no OCR is configured")
        return b""
    text, parts = ocr_text(picture, job.ocr)
    job.text("", text, parts)
    return _encoded(picture, kind)


def black_out(data: bytes, kind: str, boxes: list[tuple[int, int, int, int]], job: Job) -> bytes:
    """The picture with these boxes painted black, and what OCR still reads in it into ``job``."""
    picture = _decoded(data, kind, job)
    if picture is None:
        return b""
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in boxes:
        margin = max(2, (bottom - top) // 8)
        draw.rectangle((left - margin, top - margin, right + margin, bottom + margin), fill="black")
    text, parts = ocr_text(picture, job.ocr)
    job.text("", text, parts)
    return _encoded(picture, kind)


def ocr_text(picture: Any, engine: str) -> tuple[str, Parts]:
    """The lines of an RGB picture, one below the other, and where each word is."""
    if engine not in _engines:
        _engines[engine] = ocr.engine(engine)
    scale = 2 if max(picture.size) < SMALL else 1
    shown = picture.resize((picture.width * 2, picture.height * 2)) if scale == 2 else picture
    text, parts = "", []
    for line in _engines[engine].lines(shown):
        for start, end, (left, top, right, bottom) in line.words:
            box = (left // scale, top // scale, right // scale + 1, bottom // scale + 1)
            parts.append((len(text) + start, len(text) + end, box))
        text += line.text + "\n"
    return text, tuple(parts)


def _decoded(data: bytes, kind: str, job: Job) -> Any | None:
    """RGB, upright, on white. What lies under transparency is not kept, so it is not read."""
    Image.MAX_IMAGE_PIXELS = None  # bounded here, by the job's own number
    try:
        with Image.open(io.BytesIO(data), formats=(FORMATS[kind],)) as opened:
            job.budget.pixels(*opened.size)
            if getattr(opened, "n_frames", 1) > 1:
                job.cannot("a picture of several frames or pages")
                return None
            turned = _upright(opened)
            if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
                layer = turned.convert("RGBA")
                paper = Image.new("RGBA", layer.size, "white")
                return Image.alpha_composite(paper, layer).convert("RGB")
            return turned.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError):
        job.cannot("a damaged picture")
        return None


def _upright(opened: Any) -> Any:
    """As EXIF says that it is to be shown: then whoever gets it without EXIF sees the same."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(opened)


def _encoded(picture: Any, kind: str) -> bytes:
    clean = Image.new("RGB", picture.size)
    clean.paste(picture)
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": 92} if kind in ("jpeg", "webp") else {}
    clean.save(out, FORMATS[kind], **options)
    return out.getvalue()
