"""Disguises that leave the characters where they are: letters apart, marks in between, letters for
digits, lists of characters or of their codes, quoted-printable."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import quopri
import re

from sovereign.guard.glance import Glance
from sovereign.guard.segment import Kinds, Segment, kept, whole

__all__ = ["disguised"]


def disguised(text: str, glance: Glance) -> list[Segment]:
    """Every disguised stretch. They may overlap."""
    found = _SIGNED.find(text, glance.marks)
    if glance.apart() and _APART_HINT.search(text) is not None:
        found += filter(None, map(_apart, _APART.finditer(text)))
    # These begin with a digit and look behind it, so that a search skips to digits.
    if glance.codes():
        found += filter(None, map(_codes, _CODES.finditer(text)))
    if glance.backwards() and _SAID_BACKWARDS.search(text) is not None:
        found += map(_reversed, _BACKWARDS.finditer(text))
    if glance.mirrored() and _DOTTED.search(text) is not None:
        found += map(_reversed, _MIRRORED.finditer(text))
    if glance.alike():
        found += filter(None, map(_likened, _LIKENED.finditer(text)))
    return found


_APART_HINT = re.compile(r"\s\S\s{1,3}\S\s{1,3}\S\s{1,3}\S\s")
_APART = re.compile(r"(?<!\S)(?:\S\s{1,3}){7,400}\S(?!\S)")
"""M a r i a: single characters, seven or more, with the same or different spaces between."""

_CODES = re.compile(
    r"\d(?<![\w.,-]\d)(?:[xX][0-9A-Fa-f]{2}|\d{1,2})(?:(?:[,;]\s?|\s)(?:0[xX][0-9A-Fa-f]{2}|\d{2,3})){7,400}(?![\w.])"
)
_BACKWARDS = re.compile(r"\d(?<![\w-]\d)\d{3}-\d{2}-\d{3}(?![\w-])")
_MIRRORED = re.compile(
    r"(?<![\w.])(?:moc|gro|ten|ude|vog|oi|ed|rf|ku\.oc|se|ti|ln|lp)\.[\w.-]{2,60}@[\w.+-]{2,60}(?![\w@])"
)
_DOTTED = re.compile(r"\.[\w.-]{2,60}@")
_SAID_BACKWARDS = re.compile(
    r"backward|revers|mirror|right[ -]to[ -]left|from the end|rückwärts|spiegel|envers|revés|contrario|achterstevoren|wspak",
    re.IGNORECASE,
)
"""A social security number from its end; part numbers have these groups too, so it must be said."""

_LIKENED = re.compile(r"\d(?<![\w.]\d)[\dOoIl](?:[ -]?[\dOoIl]){6,24}(?![\w])")
_ALIKE = str.maketrans("OoIl", "0011")


def _apart(match: re.Match[str]) -> Segment | None:
    run = match.group()
    telling = any(c.isdigit() or c == "@" for c in run)
    if not telling and (run.islower() or run.isupper()):
        return None  # an alphabet
    return kept(match, "apart", [match.start() + i for i, c in enumerate(run) if not c.isspace()])


def _reversed(match: re.Match[str]) -> Segment:
    return whole(match, "reversed", match.group()[::-1])


def _likened(match: re.Match[str]) -> Segment | None:
    run = match.group()
    digits = sum(c.isdigit() for c in run)
    alike = sum(c in "OoIl" for c in run)
    if not alike or digits < 6 or alike > digits:
        return None
    places = range(match.start(), match.end())
    ends = range(match.start() + 1, match.end() + 1)
    return Segment(match.start(), match.end(), "lookalike", run.translate(_ALIKE), places, ends)


def _between(match: re.Match[str]) -> Segment:
    """Marks of no width: what is around them belongs together."""
    return Segment(match.start(), match.end(), "markup", "", [], [])


def _listed(match: re.Match[str]) -> Segment:
    base = match.start()
    return kept(match, "list", [base + m.start(1) for m in _ITEM.finditer(match.group())])


_ITEM = re.compile(r"[\"'](.)[\"']")


def _codes(match: re.Match[str]) -> Segment | None:
    """Character codes, decimal or with 0x, as text."""
    try:
        values = [int(n, 0) for n in re.findall(r"0[xX][0-9A-Fa-f]+|\d+", match.group())]
    except ValueError:  # a leading zero
        return None
    if not all(32 <= v < 127 or v in (9, 10, 13) for v in values):
        return None
    return whole(match, "codes", "".join(map(chr, values)))


def _quoted(match: re.Match[str]) -> Segment:
    raw = quopri.decodestring(match.group().encode())
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return whole(match, "quoted-printable", text)


_MARKUP = re.compile(
    r"(?<=\w)(?:\*\*|__|<[a-z]{1,6}(?:\s[^<>]{0,60})?>|<!--[^<>]{0,60}-->)(?=[\w<])"
    r"|(?<=\w)</[a-z]{1,6}(?:\s[^<>]{0,60})?>(?=\w|</|<!)"
    r"|(?<=\d)</[a-z]{1,6}>(?=<[a-z]{1,6}(?:\s[^<>]{0,60})?>\d)"
)
"""One element that ends where another begins, as in ``<name>Holm</name><born>1950``, parts what is
in them; only digits may be a number that was cut."""

_SIGNED = Kinds((
    (("**", "<", "__"), _MARKUP, _between),
    (("', '", '", "', "','", '","'), re.compile(r"[\"'].[\"'](?:\s{0,2},\s{0,2}[\"'].[\"']){6,200}"), _listed),
    (("=",), re.compile(r"(?:=[0-9A-Fa-f]{2}){2,}|(?<=\w)=\r?\n(?=\w)"), _quoted),
    (("_AT_", "_at_", "-AT-", " AT "), re.compile(r"(?<=\w)[_ -](?:AT|at)[_ -](?=[\w-]+(?:[._ -]))"), lambda m: whole(m, "email", "@")),
    (("_DOT_", "_dot_", "-DOT-", " DOT "), re.compile(r"(?<=\w)[_ -](?:DOT|dot)[_ -](?=\w)"), lambda m: whole(m, "email", ".")),
))  # fmt: skip
