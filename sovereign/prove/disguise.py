"""The disguises: a value spelled another way. Each is a name that a probe puts behind a bar."""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Callable
from urllib.parse import quote

__all__ = ["disguise"]

_words = str.split  # a list of words is easier to read as one string

_SPELLED = dict(
    zip("0123456789", _words("zero one two three four five six seven eight nine"), strict=True)
)
_CYRILLIC = str.maketrans("aeopcxAEOPCXKMHTB", "аеорсхАЕОРСХКМНТВ")
_ZERO_WIDTH = "\u200b"


def _digits_at(zero: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(zero + int(c)) if c in _SPELLED else c for c in text)


def _full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _b64(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


_DISGUISES: dict[str, Callable[[str], str]] = {
    "digits": lambda t: "".join(c for c in t if c.isdecimal()),
    "upper": str.upper,
    "title": str.title,
    "dots": lambda t: t.replace("-", ".").replace(" ", "."),
    "slashes": lambda t: t.replace("-", "/").replace(" ", "/"),
    "underscores": lambda t: t.replace("-", "_").replace(" ", "_"),
    "spaced": lambda t: " ".join(t),
    "dashed": "-".join,
    "fours": lambda t: " ".join(t[i : i + 4] for i in range(0, len(t), 4)),
    "newlines": lambda t: t.replace("-", "\n").replace(" ", "\n"),
    "tabs": lambda t: t.replace("-", "\t").replace(" ", "\t"),
    "nbsp": lambda t: t.replace("-", "\u00a0").replace(" ", "\u00a0"),
    "dash": lambda t: t.replace("-", "\u2011"),
    "enspace": lambda t: t.replace("-", "\u2002").replace(" ", "\u2002"),
    "zerowidth": _ZERO_WIDTH.join,
    "joiner": "\u2060".join,
    "softhyphen": lambda t: t[: len(t) // 2] + "\u00ad" + t[len(t) // 2 :],
    "nul": lambda t: t[: len(t) // 2] + "\x00" + t[len(t) // 2 :],
    "bidi": lambda t: "\u202d" + "\u200e".join(t) + "\u202c",
    "variation": "\ufe0f".join,
    "tags": lambda t: "".join(chr(0xE0000 + ord(c)) for c in t),
    "fullwidth": _full_width,
    "mathbold": _digits_at(0x1D7CE),
    "doublestruck": _digits_at(0x1D7D8),
    "circled": lambda t: "".join(chr(0x245F + int(c)) if c in "123456789" else c for c in t),
    "superscript": lambda t: t.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
    "arabic": _digits_at(0x0660),
    "devanagari": _digits_at(0x0966),
    "cyrillic": lambda t: t.translate(_CYRILLIC),
    "spelled": lambda t: " ".join(_SPELLED.get(c, "") for c in t if c in _SPELLED),
    "atdot": lambda t: t.replace("@", " [at] ").replace(".", " [dot] "),
    "percent": lambda t: quote(t, safe=""),
    "percentall": lambda t: "".join(f"%{b:02X}" for b in t.encode()),
    "percenttwice": lambda t: quote("".join(f"%{b:02X}" for b in t.encode()), safe=""),
    "html": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "htmlhex": lambda t: "".join(f"&#x{ord(c):x};" for c in t),
    "uescape": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "xescape": lambda t: "".join(f"\\x{b:02x}" for b in t.encode()),
    "quotedprintable": lambda t: "".join(f"={b:02X}" for b in t.encode()),
    "quopri": lambda t: quopri.encodestring(t.encode()).decode(),
    "b64": _b64,
    "b64url": lambda t: base64.urlsafe_b64encode(t.encode()).decode().rstrip("="),
    "b64utf16": lambda t: _b64(t, "utf-16-le"),
    "b64twice": lambda t: _b64(_b64(t)),
    "b64lines": lambda t: binascii.b2a_base64((t * 3).encode()).decode().strip(),
    "b32": lambda t: base64.b32encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "hexupper": lambda t: t.encode().hex().upper(),
    "hexspaced": lambda t: t.encode().hex(" "),
    "hexcolons": lambda t: t.encode().hex(":"),
    "bold": lambda t: f"**{t[:5]}**{t[5:]}",
    "htmltags": lambda t: t.replace("-", "<b>-</b>"),
    "concatenated": lambda t: '" + "'.join((t[: len(t) // 2], t[len(t) // 2 :])),
}


def disguise(text: str, name: str) -> str:
    """``text`` as ``name`` spells it: a plain name, ``part:0:5`` for a slice, ``before:SSN `` and
    ``after: ok`` for words around it. :class:`KeyError` if there is none of that name."""
    kind, _, argument = name.partition(":")
    if kind == "part":
        start, _, end = argument.partition(":")
        return text[int(start or 0) : int(end) if end else None]
    if kind == "before":
        return argument + text
    if kind == "after":
        return text + argument
    return _DISGUISES[name](text)
