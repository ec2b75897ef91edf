"""Dates and ages around a run of digits. Times alone are nobody's."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re

from sovereign.types import Finding

__all__ = ["around"]

_NUMERIC = re.compile(
    r"(?:(?:19|20)\d\d([-./])(?:1[0-2]|0?[1-9])\1(?:3[01]|[12]\d|0?[1-9])"
    r"|(?:3[01]|[12]\d|0?[1-9])([-./])(?:1[0-2]|0?[1-9])\2(?:19|20)?\d\d"
    r"|(?:1[0-2]|0?[1-9])([-./])(?:3[01]|[12]\d|0?[1-9])\3(?:19|20)?\d\d)(?![\d/-]|\.\d)"
)
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|okt|dez|m[äa]r|janv|f[ée]v|avr|juin|juil|"
    r"ao[ûu]t|d[ée]c|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|mei|maj|styc|lut|kwi|czer|lip|sie|wrz|"
    r"pa[źz]|lis|gru)[a-zéûçńśźż]{0,8}"
)
_DAY_MONTH = re.compile(
    rf"\d{{1,2}}(?:st|nd|rd|th|er|[.ºª])?\s(?:de\s|of\s|d[’'])?{_MONTH}\b\.?(?:,?\s(?:de[l]?\s)?\d{{2,4}}\b)?",
    re.I,
)
_REST = re.compile(r"\d{1,2}(?:st|nd|rd|th)?(?:,?\s(?:19|20)\d\d)?\b|(?:19|20)\d\d\b")
_MONTHS = frozenset(
    [
        "jan",
        "feb",
        "mar",
        "apr",
        "may",
        "jun",
        "jul",
        "aug",
        "sep",
        "oct",
        "nov",
        "dec",
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "januar",
        "februar",
        "märz",
        "mai",
        "juni",
        "juli",
        "oktober",
        "dezember",
        "janvier",
        "février",
        "mars",
        "avril",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
        "gennaio",
        "febbraio",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "settembre",
        "ottobre",
        "dicembre",
        "januari",
        "februari",
        "maart",
        "mei",
        "augustus",
        "stycznia",
        "lutego",
        "marca",
        "kwietnia",
        "maja",
        "czerwca",
        "lipca",
        "sierpnia",
        "września",
        "października",
        "listopada",
        "grudnia",
        "sept",
        "dez",
        "okt",
    ]
)
_AGE = re.compile(
    r"[\s-]{0,2}(?:years?|yrs?|y)\.?[\s-]{0,2}(?:old|of age|o)\b|[\s-]?y/?o\b|\s(?:años|ans|anni|jaar)\b"
    r"|[\s-](?:jährig|jahre alt)",
    re.I,
)
_WORD = re.compile(r"[^\W\d_]+")
_WHOLE = re.compile(r"(?:[^\W\d_]{5,}|\s(?:mai|may|june|juni|juin|july|juli|mars))\.$", re.I)
"""A month that is written out: the full stop behind it is the sentence's."""

_BORN = re.compile(r"[^\s*][^\S\n]?\*[^\S\n]?$")
"""The sign of birth, as in "Kurt Zimmermann, *12.01.1944". A list's star begins its line, one that
marks words stands on both sides of them."""


def around(text: str, start: int, end: int) -> Finding | None:
    """A date that begins with, or whose month stands before, the digits at ``start``; an age."""
    size = end - start
    if size >= 6:
        m = _NUMERIC.match(text, start)
        if m is not None:
            if _BORN.search(text, max(0, start - 4), start) and text[m.end() : m.end() + 1] != "*":
                return Finding((), start, m.end(), "DATE_OF_BIRTH", 0.9, "rules:birth_sign")
            return Finding((), start, m.end(), "DATE_TIME", 0.6, "rules:date")
    following = text[end : end + 2]
    if size <= 4 and following[:1] in (" ", "\u00a0", ".", "-", "º") and following.strip(" ") != "":
        m = _DAY_MONTH.match(text, start)
        if m is not None and _is_month(m.group()):
            stop = m.end() - (_WHOLE.search(m.group()) is not None)
            return Finding((), start, stop, "DATE_TIME", 0.6, "rules:date")
        if size <= 3:
            m = _AGE.match(text, end)
            if m is not None:
                return Finding((), start, m.end(), "AGE", 0.6, "rules:age")
    if start > 3 and text[start - 1] == " ":
        before = text[max(0, start - 14) : start]
        last = before.rstrip(" .").rpartition(" ")[2].strip("(,;:\n")
        if last.lower() in _MONTHS:
            m = _REST.match(text, start)
            if m is not None:
                begin = start - len(before) + before.rindex(last)
                return Finding((), begin, m.end(), "DATE_TIME", 0.6, "rules:date")
    return None


def _is_month(value: str) -> bool:
    return any(w.lower() in _MONTHS for w in _WORD.findall(value))
