"""A glance at a text: which disguises it cannot hold. Its characters are written as classes, and
looked for as bytes, which takes a tenth of the time of a pattern.

Each look is a necessary condition of one pattern in :mod:`sovereign.guard.decode` or
:mod:`sovereign.guard.disguise`; a property test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SPACE", "Glance", "classes"]

_HEXADECIMAL = b"0123456789ABCDEFabcdef"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
SPACE = b"\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0"
"""The spaces of Latin-1."""

_BEYOND = re.compile("[\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|[^\x00-\xff](?<=\\d)")
"""Spaces and digits that are no byte of Latin-1. Normalised text has hardly any."""


def classes(*given: tuple[Iterable[int], bytes]) -> bytes:
    """A table for ``bytes.translate``: a sign for each class, a semicolon for everything else."""
    table = bytearray(b";" * 256)
    for members, sign in given:
        for member in members:
            table[member] = ord(sign)
    return bytes(table)


_DIGITS = b"0123456789"
SPACED = classes((_DIGITS, b"9"), (b"._/ \xb7\\\n\t", b"."))
_BACKWARDS = classes((_DIGITS, b"9"), (b"-", b"-"))
_PAIRS = classes((_HEXADECIMAL, b"h"), (b" :,_|/.;\n-", b"."))
_COMMON = bytes(b for b in range(128) if chr(b).isalnum()) + b" ,."
_ENDS = tuple(b"%s." % end for end in b"moc gro ten ude vog oi ed rf oc se ti ln lp".split())
_CODES = classes((_HEXADECIMAL + b"xX", b"h"))
_ALIKE = classes((_DIGITS, b"9"), (b"OoIl", b"l"))
_WORDS = classes((range(256), b"x"), (SPACE, b" "))
_LETTERS = classes((_BASE64, b"x"))


class Glance:
    """What may stand in one text. ``raw`` is the text in Latin-1, one byte for each character;
    ``marks`` are its characters that are no letter, digit, space, comma or full stop of ASCII."""

    __slots__ = ("_all", "marks", "raw")

    def __init__(self, text: str) -> None:
        self.raw = text.encode("latin-1", "replace")
        self.marks = frozenset(self.raw.translate(None, _COMMON).decode("latin-1"))
        self._all = not text.isascii() and _BEYOND.search(text) is not None

    def __repr__(self) -> str:
        return f"Glance({len(self.raw)} characters)"

    def pairs(self) -> bool:
        """Hexadecimal pairs or fours apart: " 4d 61 72 ", " 4d61 7269 6120 "."""
        shown = self.raw.translate(_PAIRS)
        return b".hh.hh.hh." in shown or b".hhhh.hhhh." in shown

    def run(self) -> bool:
        """Twelve characters of base64 side by side."""
        return b"x" * 12 in self.raw.translate(_LETTERS)

    def spaced(self) -> bool:
        """A digit, one sign, and a digit again."""
        return self._all or b"9.9" in self.raw.translate(SPACED)

    def backwards(self) -> bool:
        """Digits in the groups of a social security number, from its end."""
        return self._all or b"9999-99-999" in self.raw.translate(_BACKWARDS)

    def mirrored(self) -> bool:
        """The end of an e-mail address, from its end."""
        return b"@" in self.raw and any(map(self.raw.__contains__, _ENDS))

    def apart(self) -> bool:
        """Four characters side by side that stand alone, by one to three spaces."""
        if self._all:
            return True
        shown = self.raw.translate(_WORDS)
        if shown.count(b" x ") < 2:
            return False
        return b" x x x x " in shown.replace(b"  ", b" ").replace(b"  ", b" ")

    def codes(self) -> bool:
        """Eight character codes or more."""
        return self._all or b"h" * 16 in self.raw.translate(_CODES, b",;" + SPACE)

    def alike(self) -> bool:
        """Eight digits and letters that look like digits, of both one at least."""
        if self._all:
            return True
        shown = self.raw.translate(_ALIKE, b" -")
        at = shown.find(b"9l")
        while at >= 0:
            end = shown.find(b";", at)
            end = len(shown) if end < 0 else end
            if end - shown.rfind(b";", 0, at) > 8:
                return True
            at = shown.find(b"9l", end)
        return False
