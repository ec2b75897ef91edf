"""Phone numbers: international with a country's code, or national as people group them."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.types import Finding

__all__ = ["within"]

_INTERNATIONAL = re.compile(
    r"(?:\+|(?<![\d.\-/])00)(?:\(?[1-9]\d{0,3}\)?)[\s.\-\u00a0]?(?:\(0?\d{1,5}\)[\s.\-]?)?\d{1,5}"
    r"(?:[\s.\-/\u00a0]{1,2}\d{1,5}){0,6}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?!\d)"
    r"|\+[1-9]\d{7,14}(?!\d)"
    r"|\+[1-9]\d{0,3}[\s.\-\u00a0]\d{6,12}(?!\d)"
)
_NATIONAL = re.compile(
    r"(?<![\w.+/-])(?:"
    r"(?:1[\s.\-])?(?:\(\d{3}\)\s?|\d{3}[\-. ])\d{3}[\-. ]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w-])"
    r"|\(?0\d{1,5}\)?[\s/\-]{1,3}\d{2,8}(?:[\s\-]?\d{2,5}){0,4}(?![\w-])"
    r"|0\d(?:[ .]\d\d){4}(?![\w-])"
    r"|[6789]\d{2}[ ]\d{3}[ ]\d{3}(?![ \-./]?[\w-])"
    r"|[6789]\d{2}[ ]\d{2}[ ]\d{2}[ ]\d{2}(?![ \-./]?[\w-])"
    r"|\(\d{2}\)\s?9?\d{4}[- ]?\d{4}(?![\w-])"
    r")"
)  # fmt: skip
_NAMED = re.compile(
    r"(?:phone|tel(?:ephone|efon|éfono|efone|\b)|t[ée]l\b|mobil|cell|fax|call|dial|ring|handy|m[óo]vil|portable|"
    r"reach|text|sms|whats|contact|pager|callback|number is|numer|telefoon|puhelin|電話|电话|тел|τηλ)",
)  # fmt: skip
_BARE = re.compile(
    r"(?<![\w.+/\-(])(?:\(?\d{3}\)?[ .\-]?\d{3}[ .\-]?\d{4}|\d{3}[ .\-]\d{4}|\d{7,12}|\d{2,5}(?:[ .\-/]\d{2,5}){1,4})(?![\w-])"
)
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b|0?123456789\d*$|\d{4}-\d{4}\b")
_NOT_PHONES = tuple(
    str.split(
        "ndc isbn issn doi sku ean gtin part article art lot batch cas version invoice order iban"
    )
)
_GROUPED = ((_INTERNATIONAL, 0.75), (_NATIONAL, 0.7))
_JOINTS = " \t\n\u00a0.:#-("
NEAR = 32


def within(text: str, lowered: str, start: int, end: int) -> Iterator[Finding]:
    """The phone numbers in the run of digits ``text[start:end]``; a "+" or "(" may stand before.
    ``lowered`` is ``text`` in lower case."""
    begin = start
    while begin and start - begin < 2 and text[begin - 1] in "+(":
        begin -= 1
    end = min(len(text), end + 10)
    before = lowered[max(0, begin - 16) : begin].rstrip(_JOINTS)
    if before.endswith(_NOT_PHONES):
        return
    if before.endswith(("no", "nr")) and before[:-2].rstrip(_JOINTS).endswith(_NOT_PHONES):
        return
    named = False
    at = begin
    run = text[begin:end]
    abroad = "+" in run or "00" in run
    for pattern, score in _GROUPED if abroad else _GROUPED[1:]:
        for m in pattern.finditer(text, begin, end):
            least = 8 if m.group()[0] == "+" else 11 if m.group().isdecimal() else 9
            if _fits(m.group(), least):
                yield Finding((), m.start(), m.end(), "PHONE_NUMBER", score, "rules:phone")
                named, at = True, m.end()
    if not named and _NAMED.search(lowered, max(0, start - NEAR), start):
        for m in _BARE.finditer(text, at, end):
            if _fits(m.group(), 7):
                yield Finding((), m.start(), m.end(), "PHONE_NUMBER", 0.75, "rules:phone_named")


def _fits(value: str, least: int) -> bool:
    digits = sum(map(str.isdecimal, value))
    return least <= digits <= 15 and _DATE.match(value) is None and len(set(value)) > 3
