"""What no reader claims: said to be unread, never passed over."""

from __future__ import annotations

from collections.abc import Iterator

from sovereign.scan.record import Record, Source, Unread

__all__ = ["UnknownReader"]

_KINDS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not read"),
    (b"Rar!", "a RAR archive, which is not read"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file or an encrypted one"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x89PNG", "a picture, whose text is not read"),
    (b"\xff\xd8\xff", "a picture, whose text is not read"),
    (b"GIF8", "a picture, whose text is not read"),
    (b"\x80\x02", "a Python pickle, which is never loaded"),
    (b"\x80\x03", "a Python pickle, which is never loaded"),
    (b"\x80\x04", "a Python pickle, which is never loaded"),
    (b"\x80\x05", "a Python pickle, which is never loaded"),
)


class UnknownReader:
    """Claims everything and reads nothing."""

    name = "unknown"

    def claims(self, name: str, head: bytes) -> bool:
        return True

    def read(self, source: Source, resume: int = 0) -> Iterator[Record | Unread]:
        if resume:
            return
        try:
            with source.open() as file:
                head = file.read(16)
        except OSError:
            head = b""
        words = (words for magic, words in _KINDS if head.startswith(magic))
        yield Unread(next(words, "a file of an unknown binary format"), resume=1)
