"""Finds values that were held back, wherever they stand again. The road uses it to hold back every
recurrence, and the residual check to prove that none is left: one rule, so they never disagree.

The rule. A value is looked for

- as a number, if it has six digits or more, and they are most of it: by its digits alone, whatever
  separates them; inside a longer number only from nine digits on, or as whole groups of its digits:
  what stands right beside it may be taken out, and it must have been found before that;
- in any case, between word boundaries, if it has eight letters and digits or more, or letters and
  digits, or several words;
- as written and in the same case, between word boundaries, if it is one shorter word: "Will" is not
  "will"; a part of a person's name that is no word of any language we know, in any case;
- not at all, if it has fewer than three letters, or is a shorter number, or is a word of the wire
  such as "user": finding it would prove nothing, and refuse half of all requests.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import accumulate
from typing import NamedTuple

from sovereign.guard.normalise import fold, normalise
from sovereign.guard.shapes import CONSTANTS
from sovereign.guard.views import Mapped

__all__ = ["APART", "Needles", "name_parts"]

_words = str.split  # a list of words is easier to read as one string

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d(?:[\s./_()+-]{0,2}\d){5,}")
_GROUP = re.compile(r"\d+")
_OTHER_DIGITS = re.compile(r"[^\D0-9]")
_NO_DIGITS = bytes(b for b in range(256) if not chr(b).isdecimal())
_SIGNS = "".join(chr(b) for b in range(128) if not (chr(b).isalnum() or chr(b) == "_"))
_EDGES = re.compile(r"^\W+|\W+$")
_MARKS = re.compile("[\u0300-\u036f]")
_PART = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

# Parts of names that are words of their own: alone, they point at nobody.
_COMMON = frozenset(
    _words(
        "the and von van der den del dos das los las bin ibn ben san saint santa dr mr mrs ms prof "
        "sir herr frau will may mark grace hope faith joy rose art bill guy chase dean earl king "
        "young long best good day week june april "
        "august summer autumn winter north south east west "
        "patient doctor nurse jun sen inc ltd llc gmbh"
    )
)


APART = "\0\n\0"
"""Stands in no value (:func:`normalise` leaves no such sign), nor between a number's digits."""

FEW = 24
"""First words that are looked for one by one."""


class _Needle(NamedTuple):
    text: str
    entity: str
    exact: bool

    def __repr__(self) -> str:
        return f"_Needle({self.entity})"


class _Spelled(NamedTuple):
    """A value as it is looked for: its digits, if it is a number, and its first word, if it is
    words; ``short``: one word that is looked for only as it was written."""

    plain: str
    folded: str
    number: str
    first: str
    short: bool


def _spelled(value: str) -> _Spelled:
    if value.isascii() and value.isalpha():  # as most parts of names: all that is below, at once
        folded, size = value.lower(), len(value)
        if size < 3 or folded in CONSTANTS or value in CONSTANTS:
            return _Spelled(value, folded, "", "", short=False)
        return _Spelled(value, folded, "", folded, size < 8)
    if value.isascii() and value.isprintable():  # it is normal already
        plain = value.strip(_SIGNS)
    else:
        plain = _EDGES.sub("", normalise(Mapped(value)).text)
    if plain.isalpha():
        size, digits = len(plain), ""
    else:
        size = sum(map(str.isalnum, plain))
        digits = "".join(filter(str.isdecimal, plain))
    number = digits if len(digits) >= 6 and len(digits) >= 0.6 * size else ""
    folded = fold(plain)
    first = None
    small = size < 3 or (size == len(digits) and size < 6)
    if not small and folded not in CONSTANTS and plain not in CONSTANTS:
        first = _WORD.search(folded)
    if first is None:
        return _Spelled(plain, folded, number, "", short=False)
    short = first.group() == folded and size < 8 and not digits
    return _Spelled(plain, folded, number, first.group(), short)


class Needles:
    """Values to look for. ``repr`` shows how many."""

    __slots__ = (
        "_asked", "_by_word", "_ids", "_inner", "_known", "_long_numbers", "_numbers", "_spelled",
    )  # fmt: skip

    def __init__(self, like: Needles | None = None) -> None:
        """``like``: others of the same request, which need not be spelled out again."""
        self._by_word: dict[str, list[_Needle]] = {}
        self._inner: list[_Needle] = []
        self._numbers: dict[str, str] = {}
        self._long_numbers: dict[str, str] = {}
        self._known: set[str] = set()
        self._asked: dict[str, tuple[str, str, bool]] = {}
        self._ids: dict[bytes, str] | None = None
        self._spelled: dict[str, _Spelled] = {} if like is None else like._spelled

    def __repr__(self) -> str:
        return f"Needles({len(self._known)})"

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, value: str, entity: str, *, any_case: bool = False) -> None:
        """Look for ``value`` too, if it is long enough to prove anything. ``any_case``: in any
        case, however short."""
        asked = value.lower() + "\0" if any_case else value
        if asked in self._asked:
            return
        self._asked[asked] = (value, entity, any_case)
        self._ids = None
        spelled = self._spelled.get(value)
        if spelled is None:
            spelled = self._spelled[value] = _spelled(value)
        plain, folded, number, first, short = spelled
        if plain in self._known and not any_case:
            return
        if number:
            self._known.add(plain)
            self._numbers.setdefault(number, entity)
            if len(number) >= 9:
                self._long_numbers.setdefault(number, entity)
        if not first:
            return
        self._known.add(plain)
        exact = short and not any_case
        needle = _Needle(plain if exact else folded, entity, exact)
        if not folded.isascii() and (_boundless(folded[0]) or _boundless(folded[-1])):
            self._inner.append(needle)
        else:
            self._by_word.setdefault(first, []).append(needle)

    @property
    def ids(self) -> frozenset[bytes]:
        """One id for each value with its entity; they tell nothing of it."""
        if self._ids is None:
            self._ids = {_id(asked, how[1]): asked for asked, how in self._asked.items()}
        return frozenset(self._ids)

    def only(self, ids: frozenset[bytes]) -> Needles:
        """Those with these ids, in their order: of two kinds of one value the first one counts."""
        fewer = Needles(self)
        wanted = ids & self.ids
        for one, asked in (self._ids or {}).items():
            if one in wanted:
                value, entity, any_case = self._asked[asked]
                fewer.add(value, entity, any_case=any_case)
        return fewer

    def find_in(self, texts: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
        """As :meth:`find`, and before it the number of the text. They are looked through as one,
        which takes no longer for a chat of many turns than for a page."""
        starts = list(accumulate([len(text) + len(APART) for text in texts], initial=0))
        for start, end, entity in self.find(APART.join(texts)):
            index = bisect_right(starts, start) - 1
            yield index, start - starts[index], end - starts[index], entity

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where the values stand in ``text`` (normalised, not folded): start, end, entity."""
        folded = fold(text)
        for start, needles in self._words(folded):
            for needle in needles:
                end = start + len(needle.text)
                where = text if needle.exact else folded
                if where.startswith(needle.text, start) and not _goes_on(folded, end):
                    yield start, end, needle.entity
        for needle in self._inner:
            where = text if needle.exact else folded
            start = where.find(needle.text)
            while start >= 0:
                yield start, start + len(needle.text), needle.entity
                start = where.find(needle.text, start + 1)
        if self._numbers:
            yield from self._find_numbers(text)

    def _words(self, folded: str) -> Iterator[tuple[int, list[_Needle]]]:
        """Where words stand that some needle begins with. A few are searched for one by one, which
        is faster than to look at each word of the text."""
        if len(self._by_word) > FEW:
            for match in _WORD.finditer(folded):
                needles = self._by_word.get(match.group())
                if needles is not None:
                    yield match.start(), needles
            return
        for word, needles in self._by_word.items():
            at = folded.find(word)
            while at >= 0:
                end = at + len(word)
                if not _within(folded, at) and not _within(folded, end + 1):
                    yield at, needles
                at = folded.find(word, end)

    def _find_numbers(self, text: str) -> Iterator[tuple[int, int, str]]:
        shown = _digits(text)
        if shown is not None and not any(number.encode() in shown for number in self._numbers):
            return  # as mostly: the search itself is slow
        short = len(self._numbers) > len(self._long_numbers)
        for match in _DIGITS.finditer(text):
            run = match.group()
            digits = "".join(filter(str.isdecimal, run))
            entity = self._numbers.get(digits)
            if entity is not None:
                yield match.start(), match.end(), entity
                continue
            for number, kind in self._long_numbers.items():
                place = digits.find(number)
                if place >= 0:
                    at = [i for i, c in enumerate(run) if c.isdecimal()]
                    last = at[place + len(number) - 1]
                    yield match.start() + at[place], match.start() + last + 1, kind
            for start, end, number in _grouped(run) if short else ():
                kind = self._numbers.get(number, "")
                if kind:
                    yield match.start() + start, match.start() + end, kind


def _grouped(run: str) -> Iterator[tuple[int, int, str]]:
    """The numbers of six to eight digits that neighbouring groups of digits make: start, end,
    digits. "4471-182 4471182" holds the same one twice."""
    groups = [(m.start(), m.end(), m.group()) for m in _GROUP.finditer(run)]
    for i, (start, _, _) in enumerate(groups):
        number = ""
        for _, end, digits in groups[i : i + 8]:
            number += digits
            if len(number) > 8:
                break
            if len(number) >= 6:
                yield start, end, number


_MAC = hashlib.blake2b(key=os.urandom(32), digest_size=16)  # only ever copied


def _id(value: str, entity: str) -> bytes:
    mac = _MAC.copy()
    mac.update(f"{entity}\0{value}".encode("utf-8", "surrogatepass"))
    return mac.digest()


def name_parts(name: str) -> list[tuple[str, bool]]:
    """The words of a person's name that point at the person when they stand alone, and whether
    they do in any case: four letters or more, and no word that a text might use. A name that is a
    word too needs its capital; the commonest of these, and shorter than three letters, none."""
    out: list[tuple[str, bool]] = []
    for part in _PART.findall(name):
        small = part.lower()
        if len(part) < 3 or small in _COMMON:
            continue
        bare = small if small.isascii() else _MARKS.sub("", unicodedata.normalize("NFD", small))
        if len(part) >= 4 and bare not in _name_like_words():
            spellings = [small] if small == bare else sorted((small, bare))
            out += [(spelling, True) for spelling in spellings]
        elif part[0].isupper():
            out += [(spelling, False) for spelling in {part, part.upper(), part.capitalize()}]
    return out


@cache
def _name_like_words() -> frozenset[str]:
    """Names that running text writes small; scripts/tagger/common.py made the list."""
    data = resources.files("sovereign.guard.recognizers").joinpath("data", "common_words.txt")
    return frozenset(data.read_text(encoding="utf-8").split())


def _digits(text: str) -> bytes | None:
    """The digits of ``text`` without what separates them; None if it has others than ASCII's."""
    if not text.isascii() and _OTHER_DIGITS.search(text) is not None:
        return None
    return text.encode("latin-1", "replace").translate(None, _NO_DIGITS)


def _boundless(char: str) -> bool:
    """Whether words of this script stand side by side without a boundary: Han, Kana, Thai …"""
    return "\u0e00" <= char <= "\u0eff" or "\u2e80" <= char <= "\ud7ff"


def _within(text: str, at: int) -> bool:
    """Whether the character before ``at`` belongs to a word."""
    return 0 < at <= len(text) and (text[at - 1].isalnum() or text[at - 1] == "_")


def _goes_on(text: str, end: int) -> bool:
    return end < len(text) and (text[end].isalnum()) and text[end - 1].isalnum()
