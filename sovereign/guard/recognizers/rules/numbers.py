"""Reads every run of digits once and says what it is: a card, a national identifier, a phone, an
address's house number, an IP address, a date, an age. One pass, whatever the number of kinds."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from sovereign.guard.recognizers.rules import phones, street
from sovereign.guard.recognizers.rules.checks import vin
from sovereign.guard.recognizers.rules.dates import around as dated
from sovereign.guard.recognizers.rules.forms import (
    BY_SHAPE,
    LONGEST,
    WORDS_BY_SHAPE,
    WRITTEN_BY_SHAPE,
    Form,
)
from sovereign.guard.recognizers.rules.network import ipv4
from sovereign.types import Finding

__all__ = ["numbers"]

CONTEXT = 48
"""Characters before a number in which a word may name it."""

_CHAIN = re.compile(
    r"\d[0-9A-Za-z]*(?:[ .\-/()\u00a0]{1,3}(?:\d[0-9A-Za-z]*|[A-Z]{1,3}\d[0-9A-Za-z]*|[A-Z](?![A-Za-z0-9])))*"
)
_TOKEN = re.compile(r"[^ \u00a0]+")
_SHAPE = str.maketrans("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "9" * 10 + "A" * 26, " .-/()+\u00a0")
_COMPACT = str.maketrans("", "", " .-/()+\u00a0")
_MOST_TOKENS = 8
_ALONE_BY_SHAPE = {
    shape: known
    for shape, forms in BY_SHAPE.items()
    if (known := tuple(form for form in forms if form.alone))
}
VIN = 17
"""Characters of a vehicle's identification number."""

PLAIN, NAMED = 0.9, 1.0


def numbers(text: str) -> Iterator[Finding]:
    """What the runs of digits in ``text`` are. Findings may overlap."""
    lowered = ""
    leads = street.led(text)
    for match in _CHAIN.finditer(text):
        start, end = match.span()
        if start and text[start - 1].isalnum():
            start = _word_start(text, start)
        elif start > 2 and text[start - 1] in " -" and text[start - 2].isupper():
            start = _prefix_start(text, start)
        run = match.group()
        digits = sum(map(str.isdigit, run)) if end - start > 7 else 0
        if digits >= 5 and end - start < 160:
            if not lowered:
                lowered = text.lower()
                if len(lowered) != len(text):
                    lowered = text
            yield from _identifiers(text, lowered, start, end)
            if digits >= 7:
                yield from phones.within(text, lowered, match.start(), end)
        if end - start >= 7 and run.count(".") >= 3:
            yield from ipv4(text, match.start(), end)
        date = dated(text, match.start(), end)
        if date is not None:
            yield date
        yield from street.around(text, match.start(), end, leads=leads)


def _word_start(text: str, at: int) -> int:
    """Where the letters before ``at`` begin, if they are few and Latin."""
    begin = at
    while begin and at - begin < 8 and text[begin - 1].isascii() and text[begin - 1].isalnum():
        begin -= 1
    return begin if not begin or not text[begin - 1].isalnum() else at


_PREFIX = re.compile(r"(?<![^\W_])[A-Z]{1,4}[ -]$")


def _prefix_start(text: str, at: int) -> int:
    """Where a group of capitals before ``at`` begins: "QQ 12 34 56 C"."""
    found = _PREFIX.search(text, max(0, at - 5), at)
    return at if found is None else found.start()


def _identifiers(text: str, lowered: str, start: int, end: int) -> Iterator[Finding]:
    if start and text[start - 1].isalnum() and text[start - 1].isascii():
        return
    tokens = [m.span() for m in _TOKEN.finditer(text, start, end)]
    shapes = [text[a:b].upper().translate(_SHAPE) for a, b in tokens]
    n = len(tokens)
    taken = start
    if n > _MOST_TOKENS:
        yield from _judged(text, lowered, start, end, "".join(shapes), True)
    for i in range(n):
        if tokens[i][0] < taken:
            continue
        for j in range(min(n, i + _MOST_TOKENS), i, -1):
            a, b = tokens[i][0], tokens[j - 1][1]
            if b - a > LONGEST + 12:
                continue
            shape = "".join(shapes[i:j])
            if shape not in BY_SHAPE and len(shape) != VIN:
                continue  # most are nothing: say so cheaply
            found = list(_judged(text, lowered, a, b, shape, j - i == n or j - i == 1))
            if found:
                yield from found
                taken = b
                break


def _judged(text: str, lowered: str, a: int, b: int, shape: str, whole: bool) -> Iterator[Finding]:
    while b > a and text[b - 1] in ".-/(":
        b -= 1
    if text[a] == "(" or text[a] == "-":
        a += 1
    upper = text[a:b].upper()
    compact = upper.translate(_COMPACT)
    if len(compact) == VIN and whole:
        yield from _vin(compact, a, b)
    forms = BY_SHAPE.get(shape)
    if forms is None:
        return
    # Words are looked for once for all forms of a shape, and check digits last: they cost most.
    near_any = _pattern(WORDS_BY_SHAPE[shape]).search(lowered, max(0, a - CONTEXT), a) is not None
    alone = whole and text[a:b] == upper
    in_writing = _written(shape, upper)
    if not (near_any or in_writing):  # as mostly
        forms = _ALONE_BY_SHAPE.get(shape, ()) if alone else ()
    for form in forms:
        written = in_writing and _as_written(form, upper)
        if form.entity == "US_SSN" and compact != upper and not written:
            continue  # 7078-72-555 is a part's number
        near = near_any and _pattern(form.words).search(lowered, max(0, a - CONTEXT), a) is not None
        if (near or written or (alone and form.alone)) and form.check(compact):
            score = NAMED if near or form.entity == "CREDIT_CARD" else PLAIN
            yield Finding((), a, b, form.entity, score, f"rules:{form.name}")


def _written(shape: str, value: str) -> bool:
    """Whether ``value`` is in the written form of any identifier of this shape."""
    pattern = WRITTEN_BY_SHAPE.get(shape)
    return pattern is not None and pattern.fullmatch(value) is not None


def _as_written(form: Form, value: str) -> bool:
    return form.written is not None and form.written.fullmatch(value) is not None


@lru_cache(maxsize=512)
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{words})")


def _vin(value: str, a: int, b: int) -> Iterator[Finding]:
    """ISO 3779: most carry a check digit; others must end in digits and mix both."""
    if b - a != 17 or set(value) & set("IOQ") or not value[12:].isdigit():
        return
    letters = sum(map(str.isalpha, value))
    if letters >= 3 and 17 - letters >= 4:
        score = PLAIN if value[8] in "0123456789X" and vin(value) else 0.75
        yield Finding((), a, b, "VEHICLE_ID", score, "rules:vin")
