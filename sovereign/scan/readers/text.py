"""Plain text and logs: blocks of lines as they stand."""

from __future__ import annotations

from collections.abc import Iterator

from sovereign.scan.readers.cuts import Cut, cuts
from sovereign.scan.readers.lines import blocks, encoding_of
from sovereign.scan.readers.logs import records
from sovereign.scan.record import Record, Source, Unread
from sovereign.scan.source import Slice, Stream, line_of

__all__ = ["TextReader", "looks_like_text"]


class TextReader:
    """Every file that is text and nothing more special."""

    name = "text"

    def claims(self, name: str, head: bytes) -> bool:
        """What holds no control characters but those of text, in any encoding."""
        return looks_like_text(head)

    def read(self, source: Source, resume: int = 0) -> Iterator[Record | Unread]:
        later = isinstance(source, Slice) and source.begin > 0
        with Stream(source) as stream:
            for block in blocks(stream, b"", line_of(source), "utf-8" if later else None):
                if block.end > resume:
                    for record in records(block):
                        if record.resume > resume:
                            yield record
            if stream.failure:
                yield Unread(stream.failure, resume=stream.offset)

    def grows(self, source: Source) -> bool:
        return True

    def cuts(self, source: Source, step: int) -> list[Cut]:
        return cuts(source, step)


def looks_like_text(head: bytes) -> bool:
    """Whether ``head`` is text: few control characters, counted in its own encoding."""
    encoding, mark = encoding_of(head)
    body = head[mark:]
    if encoding != "utf-8":
        text = body[: len(body) & ~3].decode(encoding, "replace")
        return text.count("\ufffd") <= len(text) // 20
    return len(body.translate(None, _CONTROL)) >= len(body) - len(body) // 20


_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\r\f\b\x1b") + b"\x7f"
