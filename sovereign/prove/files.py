"""Small files that hold one line of text, made with the standard library: what people attach."""

# ruff: noqa: E501 - markup broken in two is two riddles

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from email.message import EmailMessage

__all__ = ["MEDIA", "make"]

# Five by seven dots, a column per number, lowest bit on top: the classic character-LCD shapes.
_GLYPHS = {
    "0": "3e5149453e", "1": "00427f4000", "2": "4261514946", "3": "2141454b31",
    "4": "1814127f10", "5": "2745454539", "6": "3c4a494930", "7": "0171090503",
    "8": "3649494936", "9": "064949291e", "-": "0808080808", " ": "0000000000",
    ":": "0036360000", "S": "4649494931", "N": "7f0408107f",
}  # fmt: skip
_SCALE = 8


def _png(text: str) -> bytes:
    """Black on white, big enough for any OCR. Letters that have no shape here are left blank."""
    columns = [0, 0]
    for letter in text:
        columns += [*bytes.fromhex(_GLYPHS.get(letter, _GLYPHS[" "])), 0]
    columns += [0, 0]
    rows = []
    for y in range(-2, 9):
        dots = [0 if 0 <= y < 7 and column >> y & 1 else 255 for column in columns]
        rows += [b"\0" + bytes(d for d in dots for _ in range(_SCALE))] * _SCALE

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", len(columns) * _SCALE, len(rows), 8, 0, 0, 0, 0)
    image = zlib.compress(b"".join(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", image) + chunk(b"IEND", b"")


def _pdf(text: str) -> bytes:
    said = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    stream = f"BT /F1 18 Tf 40 700 Td ({said}) Tj ET".encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    at = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % o for o in offsets)
    return out + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % at


def _zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/")), text)
    return out.getvalue()


_TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
_RELS = '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
_DOC = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_XML = '<Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'


def _docx(text: str) -> bytes:
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return _zipped(
        **{
            "[Content_Types].xml": f'{_TYPES}{_XML}<Override PartName="/word/document.xml" ContentType="{kind}"/></Types>',
            "_rels__.rels": f'{_RELS}<Relationship Id="r1" Type="{_DOC}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word__document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
            f"<w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>",
        }
    )


def _xlsx(text: str) -> bytes:
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    sheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return _zipped(
        **{
            "[Content_Types].xml": f'{_TYPES}{_XML}<Override PartName="/xl/workbook.xml" ContentType="{main}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{main}.worksheet+xml"/></Types>',
            "_rels__.rels": f'{_RELS}<Relationship Id="r1" Type="{_DOC}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl__workbook.xml": f'<?xml version="1.0"?><workbook xmlns="{sheet}" xmlns:r="{_DOC}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl___rels__workbook.xml.rels": f'{_RELS}<Relationship Id="r1" Type="{_DOC}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
            "xl__worksheets__sheet1.xml": f'<?xml version="1.0"?><worksheet xmlns="{sheet}"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{text}</t></is></c></row></sheetData></worksheet>',
        }
    )


def _eml(text: str) -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Visit", "a@example.org", "b@example.org"
    message.set_content(text + "\n")
    return message.as_bytes()


_MAKERS: dict[str, Callable[[str], bytes]] = {
    "png": _png,
    "pdf": _pdf,
    "docx": _docx,
    "xlsx": _xlsx,
    "eml": _eml,
    "csv": lambda t: f"id,note\r\n1,{t}\r\n".encode(),
    "txt": lambda t: f"{t}\n".encode(),
    "html": lambda t: f"<html><body><p>{t}</p></body></html>".encode(),
    "json": lambda t: b'{"note": "%s"}' % t.encode(),
    "zip": lambda t: _zipped(**{"notes.txt": t}),
    "gzip": lambda t: zlib.compress(t.encode(), wbits=31),
    "wav": lambda t: b"RIFF" + struct.pack("<I", 36 + len(t) * 2) + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    + b"data" + struct.pack("<I", len(t) * 2) + t.encode("utf-16-le"),
}  # fmt: skip

_OFFICE = "application/vnd.openxmlformats-officedocument"
MEDIA = {
    "png": "image/png",
    "pdf": "application/pdf",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    "eml": "message/rfc822",
    "csv": "text/csv",
    "txt": "text/plain",
    "html": "text/html",
    "json": "application/json",
    "zip": "application/zip",
    "gzip": "application/gzip",
    "wav": "audio/wav",
}
"""Kind of file to its media type."""


def make(kind: str, text: str) -> bytes:
    """A file of ``kind`` that says ``text``. :class:`KeyError` for a kind that is not known."""
    return _MAKERS[kind](text)
