"""Finds stretches that spell a text some other way, and decodes them: percent, entities, escapes,
base64, base32, hex, spelled and spaced digits, e-mail addresses in disguise."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator

from sovereign.guard.chance import LENGTH, is_random
from sovereign.guard.disguise import disguised
from sovereign.guard.glance import Glance
from sovereign.guard.segment import Kinds, Make, Segment, whole
from sovereign.guard.spelled import spelled_out

__all__ = ["Segment", "segments", "unbase64", "unhex"]


def segments(text: str) -> list[Segment]:
    """Disjoint decoded stretches in order. Where nothing is encoded it costs some glances."""
    glance = Glance(text)
    found = _SIGNED.find(text, glance.marks)
    if glance.pairs():
        found += filter(None, map(_hex, _PAIRS.finditer(text)))
        found += filter(None, map(_hex, _FOURS.finditer(text)))
    if glance.run():
        longest = 0
        for start, end in _runs(glance.raw):
            longest = max(longest, end - start)
            for pattern, make in _CODED:  # with its padding, and the character after
                found += filter(None, map(make, pattern.finditer(text, start, end + 7)))
        if longest and "\n" in text:
            for match in _LINES.finditer(text):
                found += _stacked(match)
            found += filter(None, map(_hex, _HEX_LINES.finditer(text)))
    found += spelled_out(text, glance.raw)
    if glance.spaced():
        found += filter(None, map(_spaced, _SPACED.finditer(text)))
    found += disguised(text, glance)
    if len(found) < 2:
        return found
    # Of two readings of one stretch the one with more digits: "52,53" are codes, or hexadecimal.
    found.sort(key=lambda s: (s.start, -s.end, -sum(map(str.isdigit, s.text))))
    disjoint: list[Segment] = []
    for segment in found:
        if not disjoint or segment.start >= disjoint[-1].end:
            disjoint.append(segment)
    return disjoint


def _runs(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where twelve characters of base64 or more stand side by side, except plain words and random
    ids."""
    letters = raw.translate(_BASE64_LETTERS)
    at = 0
    for word in letters.split():
        size = len(word)
        if size >= 12 and not (
            (word.isalpha() and ((word.islower() and size < 24) or (word.isupper() and size < 16)))
            or (size == LENGTH and is_random(word.decode()))
        ):
            start = letters.index(word, at)
            at = start + size
            yield start, at


_PRINTABLE = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f�\ue000-\uf8ff]*", re.ASCII)


def _as_text(data: bytes) -> str | None:
    """``data`` if it is text: UTF-8 or UTF-16 without control characters."""
    if len(data) < 4:
        return None
    wide = "utf-16-le" if data[1::2].count(0) > len(data) // 3 else None
    wide = "utf-16-be" if data[::2].count(0) > len(data) // 3 else wide
    try:
        text = data.decode(wide or "utf-8")
    except UnicodeDecodeError:
        return None
    return text if _PRINTABLE.fullmatch(text) else None


_SHOWN = bytes(b for b in range(256) if 32 <= b < 127 or b in b"\t\n\r")
_HIDDEN = {c: " " for c in range(160) if c < 32 or c >= 127}


def _mostly_text(data: bytes) -> str | None:
    """``data`` in Latin-1, if three quarters of it at least are plain characters: a text in an
    older encoding, or fields of a binary message."""
    if len(data) < 12 or 4 * len(data.translate(None, _SHOWN)) > len(data):
        return None
    return data.decode("latin-1").translate(_HIDDEN)


def unhex(run: str, *, loose: bool = False) -> str | None:
    """The text that hex digits spell, or ``None``. ``loose``: most of it need be text."""
    digits = re.sub(r"0x|\\x|[\s:,_|/.;-]", "", run, flags=re.IGNORECASE)
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    return _as_text(data) or (_mostly_text(data) if loose else None)


def unbase64(run: str, *, loose: bool = False) -> str | None:
    """The text that base64 letters spell, in either alphabet, with or without padding. ``loose``:
    most of it need be text."""
    letters = run.rstrip("=").replace("-", "+").replace("_", "/")
    cut = len(letters) - (len(letters) % 4 == 1)
    padded = letters[:cut] + "=" * (-cut % 4)
    try:
        data = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return None
    text = _as_text(data)
    # Plain words decode to rare letters by chance; text worth finding has ordinary ones.
    if text and _ordinary(text):
        return text
    return _mostly_text(data) if loose else None


def _ordinary(text: str) -> bool:
    if text.isascii():
        return True
    plain = unicodedata.normalize("NFKC", text)
    return len(text) > 8 and all(c.isascii() or c.isalnum() for c in plain)


def _percent(match: re.Match[str]) -> Segment | None:
    data = bytes.fromhex(match.group().replace("%", ""))
    try:
        text = data.decode("utf-8")
        widths = [len(c.encode()) for c in text]
    except UnicodeDecodeError:
        text, widths = data.decode("latin-1"), [1] * len(data)
    starts, at = [], match.start()
    for width in widths:
        starts.append(at)
        at += 3 * width
    return Segment(match.start(), match.end(), "percent", text, starts, [*starts[1:], at])


def _entity(match: re.Match[str]) -> Segment | None:
    text = html.unescape(match.group())
    return whole(match, "entity", text) if text != match.group() else None


_SHORT = {"n": "\n", "r": "\n", "t": "\t", '"': '"', "/": "/", "\\": "\\"}


def _escape(match: re.Match[str]) -> Segment | None:
    escape = match.group()
    digits = escape[2:].strip("{}")
    if escape[1].isdigit():
        return whole(match, "escape", chr(int(escape[1:], 8)))
    if escape[1] not in "uUx":
        return whole(match, "escape", _SHORT.get(escape[1], escape[1]))
    if "\\" in escape[1:]:
        high, low = int(escape[2:6], 16), int(escape[8:], 16)
        return whole(match, "escape", chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)))
    code = int(digits, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return None
    return whole(match, "escape", chr(code))


def _hex(match: re.Match[str]) -> Segment | None:
    text = unhex(match.group(), loose=True)
    return whole(match, "hex", text) if text else None


def _base64(match: re.Match[str]) -> Segment | None:
    run = re.sub(r"\s", "", match.group())
    if run.isdigit() or (run.isalpha() and (run.islower() or run.isupper()) and len(run) < 24):
        return None
    loose = _HEX_ONLY.fullmatch(run) is None  # what is both is hexadecimal
    for skip in range(4 if len(run) >= 20 else 1):  # a run may begin with what is not part of it
        text = unbase64(run[skip:], loose=loose)
        if text:
            return whole(match, "base64", text)
    return None


def _stacked(match: re.Match[str]) -> Iterator[Segment]:
    """Base64 in lines of one length, the last one shorter, whatever quotes or indents them."""
    rows: list[re.Match[str]] = []
    for row in [*_ROW.finditer(match.string, *match.span()), None]:
        size = len(row.group()) if row else 0
        before = len(rows[-1].group()) if rows else 0
        if row and (not rows or size == before):
            rows.append(row)
            continue
        if row and size < before:
            rows.append(row)
        text = unbase64("".join(r.group() for r in rows), loose=True) if len(rows) > 1 else None
        if text:
            start, end = rows[0].start(), rows[-1].end()
            yield Segment(start, end, "base64", text, [start] * len(text), [end] * len(text))
        rows = [row] if row and size > before else []


def _base32(match: re.Match[str]) -> Segment | None:
    run = match.group().rstrip("=").upper()
    try:
        text = _as_text(base64.b32decode(run + "=" * (-len(run) % 8)))
    except (binascii.Error, ValueError):
        return None
    return whole(match, "base32", text) if text and text.isascii() else None


def _form(match: re.Match[str]) -> Segment:
    """A field of a web form: "+" stands for a space."""
    start, end = match.span()
    places = range(start, end + 1)
    return Segment(start, end, "form", match.group().replace("+", " "), places[:-1], places[1:])


def _at(match: re.Match[str]) -> Segment:
    return whole(match, "email", "@")


def _dot(match: re.Match[str]) -> Segment:
    return whole(match, "email", ".")


def _concat(match: re.Match[str]) -> Segment:
    """``"a" + "b"``: each character of nothing has no place, so the joint stays as a mark."""
    return Segment(match.start(), match.end(), "concat", "", [], [])


def _markup(match: re.Match[str]) -> Segment:
    """``512<b>-</b>47`` and ``**512-4**7``: marks that a reader does not see."""
    return Segment(match.start(), match.end(), "markup", "", [], [])


def _spaced(match: re.Match[str]) -> Segment | None:
    """Digits with odd separators, as the plain number; each digit keeps its place."""
    run = match.group()
    digits = [i for i, c in enumerate(run) if c.isdigit()]
    groups = [len(g) for g in re.split(r"\D+", run)]
    if "\n" in run or "\t" in run:  # a column of numbers is no number, unless it is cut like one
        if groups not in ([3, 2, 4], [4, 4, 4, 4]):
            return None
        cuts = {3, 5} if len(digits) == 9 else set()
    elif len(digits) == 9:
        if groups != [3, 2, 4] and max(groups) > 1:
            return None
        cuts = {3, 5}
    elif len(digits) < 13 and (max(groups) > 2 or len(groups) < 5):
        return None  # dates, versions, addresses of machines
    else:
        cuts = set()
    text, starts, ends = "", [], []
    for count, i in enumerate(digits):
        if count in cuts:
            text += "-"
            starts.append(match.start() + i)
            ends.append(match.start() + i)
        text += run[i]
        starts.append(match.start() + i)
        ends.append(match.start() + i + 1)
    return Segment(match.start(), match.end(), "digits", text, starts, ends)


_I = re.IGNORECASE
_INLINE = r"</?(?:b|i|u|s|em|strong|span|wbr|mark|code|small|sup|sub|font|tt)\b[^<>]{0,80}>"
_OPENING = ("[", "(", "{", "<")
_SIGNED = Kinds(
    (
        (
            ("&",),
            re.compile(
                r"(?<![^?&\s])[\w.\[\]-]{1,64}=[^\s&#\"'<>+=]{0,200}\+[^\s&#\"'<>=]{0,400}(?![^&#\s\"'<>])"
            ),
            _form,
        ),
        (("%",), re.compile(r"(?:%[0-9A-Fa-f]{2})+"), _percent),
        (("<",), re.compile(rf"(?<=[\w@.-])(?:{_INLINE})+(?=[\w@.-])"), _markup),
        (
            ("**", "__", "``", "~~"),
            re.compile(r"(?<=[\d@.-])(?:\*\*|__|``|~~)(?=[\d@.-])"),
            _markup,
        ),
        (
            ("&",),
            re.compile(r"&(?:#0*\d{1,7};?|#[xX]0*[0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)"),
            _entity,
        ),
        (
            ("\\",),
            re.compile(
                r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
                r"|\\u\{[0-9a-fA-F]{1,6}\}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}|\\[0-3][0-7]{2}|\\[nrt!-/:-@\[-`{-~]"
            ),
            _escape,
        ),
        (("\\x",), re.compile(r"\\x(?:[0-9A-Fa-f]{2}){6,}"), _hex),
        (_OPENING, re.compile(r"(?<=\w)\s?[\[({<]\s?(?:at|@|arroba)\s?[\])}>]\s?(?=\w)", _I), _at),
        (
            _OPENING,
            re.compile(r"(?<=\w)\s?[\[({<]\s?(?:dot|punkt|point|\.)\s?[\])}>]\s?(?=\w)", _I),
            _dot,
        ),
        (
            (" at ",),
            re.compile(
                r" at (?<=\w at )(?=[\w-]+(?i: dot |\.)(?i:com|org|net|edu|gov|io|de|fr|uk)\b)"
            ),
            _at,
        ),
        ((" dot ",), re.compile(r" dot (?<=\w dot )(?=(?i:[a-z]{2,6})\b)"), _dot),
        (('"',), re.compile(r"\"\s*\+\s*\""), _concat),
        (("'",), re.compile(r"'\s*\+\s*'"), _concat),
    )
)
"""Kinds that one of a few signs gives away."""

_CODED: tuple[tuple[re.Pattern[str], Make], ...] = (
    (re.compile(r"(?<![0-9A-Za-z])(?:0x)?(?:[0-9A-Fa-f]{2}){6,}(?![0-9A-Za-z])"), _hex),
    (re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}"), _base64),
    (
        re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{16,}|[a-z2-7]{16,})={0,6}(?![A-Za-z0-9])"),
        _base32,
    ),
)
"""Kinds that are one run of letters and digits."""

_HEX_ONLY = re.compile(r"[0-9A-Fa-f]+")
_ROW = re.compile(r"[A-Za-z0-9+/_-]{2,}+={0,2}")
_LINES = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{12,}+"
    r"(?:[\"'][ \t]*\+?|[ \t]*\\)?[ \t]{0,8}\r?\n[ \t>\"'#*]{0,12})+[A-Za-z0-9+/_-]{2,}+={0,2}"
)
"""Runs of base64's letters, one a line; quotes, indents and marks of a line that goes on may stand
around them."""
_PAIRS = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}[ :,_|/.;\n-]){5,}[0-9A-Fa-f]{2}(?![0-9A-Za-z])"
)
_FOURS = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{4} ){3,}[0-9A-Fa-f]{2,4}(?![0-9A-Za-z])")
_HEX_LINES = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{12,}+[ \t]{0,8}\r?\n[ \t>]{0,12})+"
    r"[0-9A-Fa-f]{2,}+(?![0-9A-Za-z])"
)
_SPACED = re.compile(  # the look behind comes after the digit: so a search skips to digits
    r"\d(?<![\w.]\d)\d{0,5}(?:([._/ ·\\\n\t])\d{1,6})(?:\1\d{1,6}){1,19}(?![\w])"
)


def _only(kept: bytes) -> bytes:
    """A table that leaves these bytes and makes a space of every other."""
    return bytes(b if b in kept else 32 for b in range(256))


_BASE64_LETTERS = _only(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")
