"""multipart/form-data (RFC 7578), read strictly and written again from what was read.

Refused: text before, between or behind the parts, a part without a name, headers that a form part
does not need, transfer encodings, names that stand twice (but for lists, ``image[]``), and whatever
two readers could take for two different things.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereign.errors import TooLarge, Unreadable
from sovereign.types import JSON

__all__ = ["Form", "Upload", "boundary_of", "encode", "is_form", "new_boundary", "read"]

MAX_PARTS = 1000
MAX_HEAD = 4096

_TYPE = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([\w\'()+,./:=? -]{1,70})"|([\w\'+.-]{1,70}))\s*',
    re.IGNORECASE | re.ASCII,
)
_DISPOSITION = re.compile(r"form-data((?:\s*;\s*[\w*-]+=(?:\"(?:[^\"\\\r\n]|\\.)*\"|[\w.-]+))*)\s*")
_PARAMETER = re.compile(r";\s*([\w*-]+)=(?:\"((?:[^\"\\\r\n]|\\.)*)\"|([\w.-]+))")
_MEDIA = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}(?:;\s*charset=[\w.-]{1,40})?", re.ASCII)
_FIELD = re.compile(r"[\w.\[\]-]{1,200}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form. Its name is a leaf like any other; its bytes are read as a document."""

    filename: str
    content_type: str
    data: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"Upload({len(self.data)} bytes)"


class Form(dict[str, JSON]):
    """A form as a body: field to text, :class:`Upload`, or a list of them."""


def is_form(content_type: str | None) -> bool:
    """Whether a body of this type is a form."""
    return (content_type or "").partition(";")[0].strip().lower() == "multipart/form-data"


def boundary_of(content_type: str) -> str:
    """The boundary that ``content_type`` names. Raises :class:`Unreadable`."""
    match = _TYPE.fullmatch(content_type.strip())
    if match is None or (match[1] or match[2]).endswith(" "):
        raise Unreadable("the form's content type is not multipart/form-data with a boundary")
    return match[1] or match[2]


def read(raw: bytes, content_type: str) -> Form:
    """The form that ``raw`` is; a name that stands several times has a list.

    A field's text stays text: ``"true"`` is not a boolean. Raises :class:`Unreadable`.
    """
    mark = b"--" + boundary_of(content_type).encode()
    if not raw.startswith(mark + b"\r\n"):
        raise Unreadable("the form does not start with its boundary")
    form = Form()
    at, parts = len(mark) + 2, 0
    while True:
        stop = raw.find(b"\r\n" + mark, at)
        if stop < 0:
            raise Unreadable("the form does not end with its boundary")
        parts += 1
        if parts > MAX_PARTS:
            raise TooLarge(f"the form has more than {MAX_PARTS} parts")
        _add(form, *_part(raw[at:stop]))
        at = stop + 2 + len(mark)
        after = raw[at : at + 2]
        at += 2
        if after == b"--":
            if raw[at:] not in (b"", b"\r\n"):
                raise Unreadable("something stands behind the form")
            return form
        if after != b"\r\n":
            raise Unreadable("a boundary of the form goes on")


def _add(form: dict[str, JSON], name: str, value: JSON) -> None:
    if name not in form:
        form[name] = [value] if name.endswith("[]") else value
    elif isinstance(form[name], list):
        form[name].append(value)
    elif isinstance(value, Upload) and isinstance(form[name], Upload):
        form[name] = [form[name], value]
    else:
        raise Unreadable("a field stands twice in the form")


def _part(raw: bytes) -> tuple[str, JSON]:
    head, found, data = raw.partition(b"\r\n\r\n")
    if not found or len(head) > MAX_HEAD:
        raise Unreadable("a part of the form has no sound headers")
    headers = _headers(head)
    disposition = _DISPOSITION.fullmatch(headers.pop("content-disposition", ""))
    media = headers.pop("content-type", "")
    if headers or disposition is None or (media and not _MEDIA.fullmatch(media)):
        raise Unreadable("a part of the form has headers that are not known here")
    given: dict[str, str] = {}
    for match in _PARAMETER.finditer(disposition[1]):
        if match[1] in given or match[1] not in ("name", "filename"):
            raise Unreadable("a part of the form has parameters that are not known here")
        given[match[1]] = re.sub(r"\\(.)", r"\1", match[2]) if match[3] is None else match[3]
    name = given.get("name", "")
    if not _FIELD.fullmatch(name):
        raise Unreadable("a field of the form has no plain name")
    if "filename" in given:
        return name, Upload(_unquoted(given["filename"]), media, data)
    if media and not media.startswith(("text/plain", "application/json")):
        raise Unreadable("a file in the form has no name")
    try:
        return name, data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("a field of the form is not UTF-8") from None


def _headers(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        lines = head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        raise Unreadable("a header of the form is not UTF-8") from None
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or key in found or not re.fullmatch(r"[a-z-]+", key):
            raise Unreadable("a header of the form is not sound")
        if any(not c.isprintable() for c in value.strip()):
            raise Unreadable("a header of the form is not sound")
        if key != "content-length":
            found[key] = value.strip()
    return found


def _unquoted(name: str) -> str:
    """Browsers write a quote, CR and LF as %22, %0D, %0A."""
    return name.replace("%22", '"')


def new_boundary() -> str:
    """One that nobody can know before, so that no content can hold it."""
    return f"sovereign-{secrets.token_hex(16)}"


def encode(form: Mapping[str, JSON], boundary: str) -> bytes:
    """The body. Raises :class:`Unreadable` for what a form cannot hold."""
    raw = b"".join(_written(form, boundary))
    if raw.count(boundary.encode()) != raw.count(f"--{boundary}".encode()):
        raise Unreadable("the form holds its own boundary")
    return raw


def _written(form: Mapping[str, JSON], boundary: str) -> list[bytes]:
    out: list[bytes] = []
    for name, held in form.items():
        if not _FIELD.fullmatch(name):
            raise Unreadable("a field of the form has no plain name")
        for value in held if isinstance(held, list) else [held]:
            out.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode())
            if isinstance(value, Upload):
                shown = re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", "_", value.filename)
                shown = shown.replace("\\", "_").replace('"', "%22")
                media = value.content_type or "application/octet-stream"
                out.append(f'; filename="{shown}"\r\nContent-Type: {media}'.encode())
                out.append(b"\r\n\r\n" + value.data + b"\r\n")
            elif isinstance(value, str):
                out.append(b"\r\n\r\n" + value.encode("utf-8") + b"\r\n")
            else:
                raise Unreadable("the form holds something that is neither text nor a file")
    out.append(f"--{boundary}--\r\n".encode())
    return out
