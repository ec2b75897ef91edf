"""HTML: what its reader sees is one record, and everything that stands between ``<`` and ``>``
another, so that nothing is read twice and nothing is left out."""

from __future__ import annotations

import html
from collections.abc import Iterator

from sovereign.guard.documents.text import visible
from sovereign.scan.readers.lines import encoding_of, text_of
from sovereign.scan.readers.text import TextReader, looks_like_text
from sovereign.scan.readers.values import pieces
from sovereign.scan.record import Direction, Record, Source, Unread
from sovereign.scan.source import Stream

__all__ = ["HtmlReader"]

LARGEST = 2_000_000
"""Bytes of a page; larger ones are read as the text that they are written in."""


class HtmlReader:
    """Pages, by their name or how they start."""

    name = "html"

    def claims(self, name: str, head: bytes) -> bool:
        start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        named = name.lower().endswith((".html", ".htm", ".xhtml"))
        return (named or start.startswith((b"<!doctype html", b"<html"))) and looks_like_text(head)

    def read(self, source: Source, resume: int = 0) -> Iterator[Record | Unread]:
        with Stream(source) as stream:
            data = stream.read(LARGEST + 1)
            failure = stream.failure
        shown = visible(_decoded(data)) if len(data) <= LARGEST else None
        if shown is None:
            yield from TextReader().read(source, resume)
            return
        text, places = shown
        seen = set(places)
        markup = "".join(c for n, c in enumerate(_decoded(data)) if n not in seen)
        number = 0
        for unit, said in (("page", html.unescape(text)), ("markup", html.unescape(markup))):
            for field in pieces("", said, Direction.STORED, None, "utf-8"):
                number += 1
                if number > resume:
                    yield Record(1, unit, (field,), number)
        if failure and resume <= number:
            yield Unread(failure, resume=number + 1)


def _decoded(data: bytes) -> str:
    encoding, mark = encoding_of(data)
    if encoding == "utf-8":
        return text_of(data[mark:])[0]
    return data[mark:].decode(encoding, "replace")
