"""One plain spelling for what looks the same: compatibility forms, digits of all scripts, dashes,
look-alike letters; what cannot be seen is taken out. Each character keeps its origin."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sovereign.guard.views import Mapped

__all__ = ["fold", "normalise"]

INVISIBLE = (
    "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−⁃﹣－⸺⸻"), "-")
_QUOTES = dict.fromkeys(map(ord, "‘’‛ʼ＇"), "'") | dict.fromkeys(map(ord, "“”„‟＂"), '"')
_DOTS = dict.fromkeys(map(ord, "․∙"), ".")
_PLAIN = _DASHES | _QUOTES | _DOTS

_LOOKALIKES = {
    **dict(zip("АВЕЅІЈКМНОРСТХУаеоріјсухѕԁһԛԝ", "ABESIJKMHOPCTXYaeopijcyxsdhqw", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονικρυ", "ABEZHIKMNOPTYXovikpu", strict=True)),
    "ı": "i",
    "ɡ": "g",
    "ӏ": "l",
}
_ENCLOSED = {
    chr(first + i): chr(ord("A") + i) for first in (0x249C, 0x1F150, 0x1F170) for i in range(26)
}
"""Letters in parentheses, and in circles and squares on black."""
_SPECIAL = re.compile("[" + "".join([*map(chr, _PLAIN), *_ENCLOSED]) + "]")
_LOOKALIKE = re.compile(f"[{''.join(_LOOKALIKES)}]")
_LATIN = re.compile("[A-Za-z0-9]")
_RUN = re.compile(r"\w+")
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
_STRUCK = re.compile(f"[\x20-\x7e][{_MARKS}]")
"""A plain character under a mark that composes with it to nothing: struck out, circled, boxed."""

_OVERLAID = re.compile(f"(?<=[\x20-\x7e])[{_MARKS}]+")
_CLUSTER = re.compile(
    f".[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a{INVISIBLE}]*", re.DOTALL
)


def fold(text: str) -> str:
    """``text`` in lower case, of the same length, so that offsets stay true, and letter by letter:
    what a word comes to depends on nothing around it."""
    if text.isascii():
        return text.lower()
    # The one letter that becomes two, and the one that is another at the end of a word.
    return text.replace("\u0130", "I").lower().replace("\u03c2", "\u03c3")


def normalise(mapped: Mapped) -> Mapped:
    """``mapped`` itself if it is plain, else its plain spelling mapped to the same original."""
    text = mapped.text
    if text.isascii():
        if _CONTROL.search(text) is None:
            return mapped
    elif (
        _INVISIBLE.search(text) is None
        and unicodedata.is_normalized("NFKC", text)
        and _SPECIAL.search(text) is None
        and not any(c.isdigit() and c > "9" for c in text)
        and _STRUCK.search(text) is None
        and _unmixed(text) == text
    ):
        return mapped
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _CLUSTER.finditer(text):
        plain = _plain(match.group())
        out.append(plain)
        starts.extend([match.start()] * len(plain))
        ends.extend([match.end()] * len(plain))
    joined = "".join(out)
    joined = _unmixed(joined)
    if joined == text:
        return mapped
    return mapped.compose(joined, starts, ends)


def _plain(cluster: str) -> str:
    """One visible character with its marks, as plain as it gets; ``""`` for nothing visible."""
    if len(cluster) == 1 and cluster.isascii() and cluster >= " " and cluster != "\x7f":
        return cluster
    seen = []
    for char in cluster:
        if 0xE0020 <= ord(char) <= 0xE007E:  # tag characters spell hidden ASCII
            seen.append(chr(ord(char) - 0xE0000))
        elif _INVISIBLE.match(char) is None:
            # A digit in a circle, on black, with a full stop; letters in one have no other form.
            digit = None if char.isascii() else unicodedata.digit(char, None)
            seen.append(_ENCLOSED.get(char, char) if digit is None else str(digit))
    if len(cluster) > 4:
        seen += _selected(cluster)
    text = unicodedata.normalize("NFKC", "".join(seen)).translate(_PLAIN)
    text = _OVERLAID.sub("", text)
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.decimal(c)) if not c.isascii() and c.isdecimal() else c for c in text
    )


def _selected(cluster: str) -> str:
    """What the variation selectors behind a character spell, one byte each. One or two of them only
    choose its form."""
    data = bytes(
        code - 0xFE00 if code < 0xFE10 else code - 0xE0100 + 16
        for code in map(ord, cluster)
        if 0xFE00 <= code < 0xFE10 or 0xE0100 <= code < 0xE01F0
    )
    text = data.decode("utf-8", "ignore") if len(data) > 3 else ""
    shown = "".join(filter(str.isprintable, text))
    return f" {shown} " if shown else ""


def _unmixed(text: str) -> str:
    """Words that mix Latin letters with look-alikes, in Latin letters only; same length."""
    if _LOOKALIKE.search(text) is None:
        return text
    return _RUN.sub(_latin, text)


def _latin(match: re.Match[str]) -> str:
    word = match.group()
    if _LATIN.search(word) is None or _LOOKALIKE.search(word) is None:
        return word
    return "".join(_LOOKALIKES.get(c, c) for c in word)
