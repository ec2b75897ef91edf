"""Base64 in leaves: data URIs, and fields that hold nothing else; taken out, and put back."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from sovereign.errors import Unreadable

__all__ = ["DATA_URI", "filled", "is_base64", "stripped", "unpacked"]

DATA_URI = re.compile(
    r"(?<![\w-])data:(?P<type>[\w.+-]*/?[\w.+-]*)(?P<more>(?:;[\w=.+-]+)*),", re.IGNORECASE
)
_LINES = re.compile(r"\s+")


def unpacked(letters: str) -> bytes | None:
    """The bytes that base64 letters stand for, in either alphabet, broken into lines or not."""
    plain = _LINES.sub("", letters).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def stripped(text: str, payloads: Sequence[str]) -> str:
    """``text`` without the letters of its documents."""
    for payload in payloads:
        text = text.replace(payload, "", 1)
    return text


def filled(text: str, payloads: Sequence[str]) -> str:
    """The opposite of :func:`stripped`, after the rest of ``text`` was changed. Raises
    :class:`Unreadable` if the places of the documents are gone."""
    places = [m.end() for m in DATA_URI.finditer(text) if is_base64(m)]
    if not places and len(payloads) == 1 and not text:
        return payloads[0]
    if len(places) != len(payloads):
        raise Unreadable("what stands beside a document cannot be changed without losing it")
    out, at = [], 0
    for place, payload in zip(places, payloads, strict=True):
        out += [text[at:place], payload]
        at = place
    return "".join([*out, text[at:]])


def is_base64(match: re.Match[str]) -> bool:
    return match["more"].lower().endswith(";base64")
