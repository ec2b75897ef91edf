"""Plain text and logs: blocks of lines as they stand."""

from __future__ import annotations

from collections.abc import Iterator

from sovereign.scan.readers.lines import Block, blocks
from sovereign.scan.record import Direction, Field, Record, Source, Unread
from sovereign.scan.source import Stream

__all__ = ["TextReader", "record_of"]


class TextReader:
    """Every file that is text and nothing more special."""

    name = "text"

    def claims(self, name: str, head: bytes) -> bool:
        """What holds no control characters but those of text, in any encoding."""
        return looks_like_text(head)

    def read(self, source: Source, resume: int = 0) -> Iterator[Record | Unread]:
        with Stream(source) as stream:
            for block in blocks(stream):
                if block.end > resume:
                    yield record_of(block)
            if stream.failure:
                yield Unread(stream.failure, resume=stream.offset)


def record_of(block: Block) -> Record:
    """A block as a record of its own."""
    offset = block.offset if block.verbatim else None
    field = Field("", block.text, Direction.STORED, offset, block.start, block.encoding)
    return Record(block.number, "line", (field,), block.end)


def looks_like_text(head: bytes) -> bool:
    """Whether ``head`` is text: few control characters, counted in its own encoding."""
    from sovereign.scan.readers.lines import encoding_of

    encoding, mark = encoding_of(head)
    body = head[mark:]
    if encoding != "utf-8":
        text = body[: len(body) & ~3].decode(encoding, "replace")
        return text.count("\ufffd") <= len(text) // 20
    return len(body.translate(None, _CONTROL)) >= len(body) - len(body) // 20


_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\r\f\b\x1b") + b"\x7f"
