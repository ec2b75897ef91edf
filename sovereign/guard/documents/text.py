"""Bytes as text, in the encodings that files come in, and what a reader of HTML would see."""

from __future__ import annotations

import codecs
import re

__all__ = ["decode", "visible"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]{1,40})", re.ASCII)


def decode(data: bytes, declared: str = "") -> str | None:
    """``data`` as text, without a byte-order mark; ``None`` if it is none.

    By its byte-order mark, else UTF-8, else UTF-16 where every second byte is zero, else as its
    ``declared`` content type says, else Windows-1252. What is sent is written in UTF-8 from this
    text, so a wrong guess garbles a text and leaks nothing.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding)
    text = _strict(data, "utf-8")
    if text is not None:
        return text
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) > len(data) // 5:
        return _strict(data, "utf-16-le" if odd > even else "utf-16-be")
    named = _CHARSET.search(declared.lower())
    if named:
        try:
            return _strict(data, codecs.lookup(named[1]).name)
        except LookupError:
            return None
    return _strict(data, "cp1252")


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
        text.encode("utf-8")
    except (UnicodeError, LookupError, ValueError):
        return None
    return None if _CONTROL.search(text) else text


_BLOCK = re.compile(
    r"</?(?:p|div|br|li|ul|ol|tr|td|th|table|h[1-6]|hr|section|article|header|footer|option|pre"
    r"|blockquote|dt|dd|title|body|head|html|text)\b",
    re.IGNORECASE,
)
_HIDDEN = ("script", "style")


def visible(source: str) -> tuple[str, list[int]] | None:
    """What stands between the tags of ``source``, and where each of its characters is in it;
    ``None`` if there are no tags. A tag inside a word does not cut it; one between blocks does.
    Comments, attributes and scripts are not in it: they are read as they stand in the source."""
    if "<" not in source:
        return None
    parts: list[str] = []
    places: list[int] = []
    at, comments = 0, True
    lower = source.lower()
    while True:
        tag = source.find("<", at)
        stop = len(source) if tag < 0 else tag
        parts.append(source[at:stop])
        places.extend(range(at, stop))
        if tag < 0:
            break
        end = -1
        if comments and source.startswith("<!--", tag):
            end = source.find("-->", tag + 4)
            comments = end >= 0
            end += 2 if comments else 0
        if end < 0:
            end = source.find(">", tag)
        if end < 0:  # no tag: the rest is text
            parts.append(source[tag:])
            places.extend(range(tag, len(source)))
            break
        if _BLOCK.match(source, tag):
            parts.append("\n")
            places.append(tag)
        at = end + 1
        for name in _HIDDEN:
            if lower.startswith("<" + name, tag) and source[end - 1] != "/":
                close = lower.find("</" + name, at)
                at = close if close >= 0 else at
    text = "".join(parts)
    return (text, places) if text.strip() and text != source else None
