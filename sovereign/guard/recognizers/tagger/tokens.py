"""Text to tokens, and a token to the hashed rows that describe it. Training and running share this.

Tokens cover the text without gaps: joined, they are the text. A token may begin with the one space
before it, so that "preceded by a space" costs nothing. How a token is cut depends on at most
:data:`MAX_TOKEN` characters after its start, so a text can be read in pieces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from zlib import crc32

__all__ = ["MAX_TOKEN", "ROWS", "features", "fingerprint", "fold", "is_word", "pieces", "stems"]

ROWS = 1 << 18
"""Rows of the hashed table."""

MAX_TOKEN = 48
"""Characters of the longest word token; a longer run is several tokens."""

_IDEOGRAPHS = r"\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(
    rf" ?[^\W_{_IDEOGRAPHS}]{{1,{MAX_TOKEN}}}"
    rf"| ?[{_IDEOGRAPHS}]"
    r"| ?(?:[-]{2,48}|[=]{2,48}|[*]{2,48}|[.]{2,48}|[_]{2,48}|[#]{2,48}|[^\w\s]|_)"
    r"|\n"
    r"|[^\S\n]{1,48}"
    r"|[\s\S]"
)
_ASCII_TOKEN = re.compile(
    rf" ?[A-Za-z0-9]{{1,{MAX_TOKEN}}}"
    r"| ?(?:[-]{2,48}|[=]{2,48}|[*]{2,48}|[.]{2,48}|[_]{2,48}|[#]{2,48}|[^\w\s]|_)"
    r"|\n"
    r"|[^\S\n]{1,48}"
    r"|[\s\S]"
)
"""The same for text that is all ASCII, in half the time."""

_PIECE = 1 << 16
_SLACK = 4 * MAX_TOKEN


def pieces(text: str) -> Iterator[list[str]]:
    """The tokens of ``text``, in lists of some ten thousand: memory does not grow with the text."""
    start, length = 0, len(text)
    cut = (_ASCII_TOKEN if text.isascii() else _TOKEN).findall
    while start < length:
        tokens = cut(text[start : start + _PIECE + _SLACK])
        if start + _PIECE + _SLACK < length:
            # The last tokens may have been cut by the slice; they open the next piece.
            kept = _PIECE + _SLACK
            while kept > _PIECE:
                kept -= len(tokens.pop())
            start += kept
        else:
            start = length
        yield tokens


def fold(word: str) -> str:
    """Lower case without accents: how gazetteers see a word."""
    word = word.lower()
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def fingerprint(folded: str) -> int:
    """32 bits that stand for a folded word in the gazetteer."""
    return crc32(folded.encode("utf-8", "surrogatepass"))


def stems(folded: str) -> tuple[str, ...]:
    """Shorter forms under which an inflected or possessive name may be listed."""
    n = len(folded)
    if n < 6:
        return ()
    return (folded[:-1], folded[:-2], folded[:-3]) if n > 6 else (folded[:-1], folded[:-2])


def is_word(token: str) -> bool:
    """Whether a gazetteer may know it: no space, no sign, no number."""
    word = token[1:] if token[0] == " " else token
    return word[:1].isalnum() and not word.isdigit()


def _shape(word: str) -> str:
    out, last, run = [], "", 0
    for c in word:
        kind = (
            "d" if c.isdigit() else "X" if c.isupper() else "x" if c.islower() else "c"
            if c.isalpha() else c
        )  # fmt: skip
        if kind == last:
            run += 1
            if run > 4:
                continue
        else:
            last, run = kind, 1
        out.append(kind)
    return "".join(out[:14])


def features(token: str, member: int = 0, stem: int = 0) -> list[int]:
    """Row numbers for ``token``. ``member`` and ``stem`` are its gazetteer bits."""
    spaced = token[0] == " " and len(token) > 1
    word = token[1:] if spaced else token
    gap = "_" if spaced else ""
    if word.isspace():
        if "\n" in word:
            names = ["nl"]
        else:
            names = ["ws", f"ws{min(len(word), 8)}{'t' if chr(9) in word else ''}"]
        return [crc32(n.encode()) % ROWS for n in names]
    if not word[0].isalnum():
        return [
            crc32(n.encode("utf-8", "surrogatepass")) % ROWS
            for n in ("p" + word, "p" + gap + word[0])
        ]
    n = len(word)
    if word.isdigit():
        size = f"D{min(n, 20)}"
        names = ["S" + gap + "dddd"[:n], size, size + word[0]]
        if n <= 4:
            names.append("d" + word)
    else:
        names = ["S" + gap + _shape(word)]
        lower = word.lower()
        kind = (
            "x" if word == lower else "X" if word.isupper() else "T"
            if word[0].isupper() and word[1:] == lower[1:] else "M"
        )  # fmt: skip
        alpha = word.isalpha()
        names += ["k" + kind + gap, f"L{min(n, 24)}{'a' if alpha else 'm'}", "w" + lower]
        if kind != "x":
            names.append("W" + word)
        folded = fold(word)
        if folded != lower:
            names.append("w" + folded)
        if not alpha:
            digits = sum(c.isdigit() for c in word)
            names.append(f"m{digits * 4 // n}{kind}{min(n, 32) // 4}")
        edged = "^" + folded + "$"
        for k in (2, 3, 4, 5):
            if n >= k:
                names.append("<" + edged[: k + 1])
                names.append(">" + edged[-k - 1 :])
        names += ["3" + edged[i : i + 3] for i in range(0, min(len(edged), 20) - 2)]
        if member:
            names += [f"g{b}" for b in range(16) if member >> b & 1]
            names.append(f"G{member}{kind}")
        else:
            names.append("G0" + kind)
        if stem and not member:
            names.append(f"H{stem}{kind}")
    return [crc32(x.encode("utf-8", "surrogatepass")) % ROWS for x in names]
