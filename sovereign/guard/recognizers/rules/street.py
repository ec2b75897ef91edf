"""Street addresses, and what stands beside them, around a house number."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sovereign.types import Finding

__all__ = ["around", "led", "without_house"]

_TYPES = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|"
    r"Terrace|Ter|Way|Parkway|Pkwy|Circle|Cir|Highway|Hwy|Close|Crescent|Gardens|Trail|Trl|Loop|"
    r"Plaza|Alley|Row|Walk|Mews|Grove|Hill|Park|Green|Route|Pike)"
)
_US_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|"
    "NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|PR"
)
_UNIT = r"(?:,?\s+(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|#)\.?\s*#?\s*[A-Za-z]?\d{0,5}[A-Za-z]?)?"
_WORD = r"[^\W\d_][\w'’.-]*"
_CAP = r"(?:[A-ZÀ-ÖØ-Þ][\w'’.-]*|\d{1,3}(?:st|nd|rd|th))"

_FIRST = re.compile(
    rf"\d{{1,6}}+[A-Za-z]?,?(?:"  # all the digits: nothing that may follow begins with one
    rf"(?:\s(?:[NSEW]|[NS][EW]|North|South|East|West)\.?)?"
    rf"(?:\s{_CAP}){{1,4}}\s{_TYPES}\b\.?(?:\s(?:[NSEW]|[NS][EW])\b\.?)?{_UNIT}"
    rf"|(?:\s[A-Z0-9]{{1,20}}){{1,4}}\s(?:{_TYPES[3:-1].upper()})\b"
    rf"|(?:\s?(?:bis|ter))?,?\s(?:rue|avenue|boulevard|bd|place|chemin|allée|impasse|quai)\s(?:{_WORD}\s?){{1,5}}"
    rf"|(?<!,)\s(?!Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    rf"[A-ZÀ-Þ][a-zà-ÿ][^\W\d_]{{1,30}}(?:\s[A-ZÀ-Þ][a-zà-ÿ][^\W\d_]{{1,30}})?\s\d{{1,4}}\b(?![.:%/-]){_UNIT}"
    rf")"
)
_LOWER = re.compile(r"\d{2,6}(?:\s[a-z]{3,20}){1,3}\s(?:street|avenue|road|boulevard|lane)\b")
_ENDINGS = (
    "straße",
    "strasse",
    "str.",
    "gasse",
    "allee",
    "weg",
    "platz",
    "damm",
    "ufer",
    "straat",
    "laan",
    "plein",
    "gracht",
    "gatan",
    "gata",
    "vägen",
    "vej",
    "gade",
    "katu",
    "tie",
    "veien",
    "utca",
)
_NOT_STREETS = frozenset(
    ["weg", "platz", "gata", "gade", "katu", "tie", "damm", "ufer", "plein", "untie"]
)
_CAPITALS = re.compile(r"(?:[A-ZÀ-Þ][\w-]{1,40}[ -]){1,2}$")
_LEADING = re.compile(
    r"\b(?:Calle|Avenida|Avda\.?|C/|Paseo|Plaza|Via|Viale|Corso|Piazza|Rua|ulica|ul\.|al\.|os\.)\s?"
    rf"(?:{_WORD}\s){{0,4}}{_WORD},?(?:\sn[.ºo°]*)?\s$"
)
_LEADS = tuple(str.split("Calle Aven Avda C/ Paseo Plaza Via Corso Piazza Rua ulica ul. al. os."))
"""What stands in every text in which a street's kind leads its name."""

_REST = re.compile(r"\d{1,4}\s?[a-z]?\b")
_STATE = re.compile(rf"\b(?:{_US_STATES})\.?,?\s$")
_ZIP = re.compile(r"\d{5}(?:-\d{4})?(?![\w-])")
_PO_BOX = re.compile(r"\b(?:P\.?\s?O\.?\s?Box|Postfach|Apartado|Bo[iî]te postale)\s\d{1,8}\b", re.I)
_BOXES = ("box", "postfach", "apartado", "postale")
_PLACE = r"[\w'’-]+\.?(?:\s[\w'’-]+\.?){0,5}?"
_CROSSING = re.compile(
    rf"\b(?:(?:the\s)?(?:corner|intersection|junction)\sof|Ecke|(?:la\s)?esquina\s(?:de|con)|angolo\s(?:tra|di))"
    rf"\s{_PLACE}\s(?:and|und|y|e|&)\s{_CAP}(?:\s{_CAP}){{0,3}}"
)
_STREET = re.compile(
    rf"\d|\b{_TYPES}\b|(?:stra[sß]s?e|gasse|weg|platz|allee)\b|\b(?:Calle|Avenida|Via|Corso|Rue)\b"
)
_CROSSINGS = ("corner of", "section of", "junction of", "Ecke ", "esquina ", "angolo ")
_UNIT_LINE = re.compile(
    r"\n\W{0,4}(?P<v>(?:Apt|Apartment|Suite|Ste|Flat)\b\.?\s#?\d{1,5}[A-Za-z]?)[.,]?\r?(?=\n|$)",
    re.I,
)
_LIVES = ("habit", "demeur", "domicili", "wohn")
_HOME = re.compile(
    r"(?:(?i:\b(?:habit|demeur|domicili)\w{1,5}\s(?:au\s|à\s|dans\s(?:la\s|l[’']))?)"
    rf"(?P<fr>(?:rue|avenue|boulevard|allée|impasse|chemin|place|quai)\s(?:de\sl[’']|de\sla\s|des\s|du\s|de\s|d[’'])?{_CAP}"
    rf"(?:[ -](?:de\s)?{_CAP}){{0,3}})"
    r"|(?i:\bwohn(?:t|e|en|haft|te)\s(?:jetzt\s)?(?:in\sder|im|am|an\sder|auf\sdem)\s)"
    r"(?P<de>[A-ZÄÖÜ][\w-]{1,30}(?:stra(?:ß|ss)e|str\.|allee|weg|gasse|platz|damm|ufer)\b))"
)
"""Where somebody lives, without a house number."""

BEFORE = 80


def led(text: str) -> bool:
    """Whether some street's kind may lead its name: "Calle Mayor 4"."""
    return any(map(text.__contains__, _LEADS))


def around(text: str, start: int, end: int, *, leads: bool) -> Sequence[Finding]:
    """Addresses whose house number is the run of digits at ``start``, and US codes after a state.
    ``leads``: what :func:`led` says of the text."""
    before = text[start - 1] if start else " "
    if before.isalnum() or before in ".#-_":
        return ()
    found: list[Finding] = []
    after = text[end] if end < len(text) else ""
    if after in (" ", ",") or text[start:end].find(" ") > 0:
        m = _FIRST.match(text, start)
        if m is not None:
            found.append(Finding((), start, m.end(), "STREET_ADDRESS", 0.75, "rules:street"))
        elif end - start <= 6 and after == " " and (m := _LOWER.match(text, start)):
            end = m.end()
            found.append(Finding((), start, end, "STREET_ADDRESS", 0.6, "rules:street_lower_case"))
    if before == " " and start > 4:
        m = _REST.match(text, start)
        if m is not None:
            begin = _named(text, start, leads)
            if begin < start:
                end = m.end()
                found.append(Finding((), begin, end, "STREET_ADDRESS", 0.75, "rules:street_named"))
        if (z := _ZIP.match(text, start)) and _STATE.search(text, start - 5, start):
            end = z.end()
            found.append(Finding((), start, end, "US_POSTAL_CODE", 0.7, "rules:us_state_and_code"))
    return found


def _named(text: str, start: int, leads: bool) -> int:
    """Where the street's name before the house number at ``start`` begins; ``start`` if none does.
    Linear: the word before is looked at first, since most say nothing."""
    low = max(0, start - BEFORE, text.rfind("\n", max(0, start - BEFORE), start) + 1)
    word = max(low, text.rfind(" ", low, start - 1) + 1)
    last = text[word : start - 1]
    if last.lower().endswith(_ENDINGS) and last.lower() not in _NOT_STREETS:
        if not last[0].isupper() and not last[0].islower():
            return start
        more = _CAPITALS.search(text, max(low, word - 40), word) if word > low else None
        if last[0].isupper() or more:
            return more.start() if more and len(last) < 9 else word
        return start
    found = _LEADING.search(text, low, start) if leads else None
    return start if found is None else found.start()


def without_house(text: str) -> Iterator[Finding]:
    """Addresses that no house number gives away: post office boxes, the corner of two streets, and
    a unit on the line below a number."""
    lowered = text.lower()
    if any(map(lowered.__contains__, _BOXES)):  # for each text: a generator takes much longer
        for m in _PO_BOX.finditer(text):
            yield Finding((), m.start(), m.end(), "STREET_ADDRESS", 0.7, "rules:po_box")
    if any(map(text.__contains__, _CROSSINGS)):
        for m in _CROSSING.finditer(text):
            # "The intersection of Law and Medicine" is no place.
            if _STREET.search(m.group()) is not None:
                yield Finding((), m.start(), m.end(), "STREET_ADDRESS", 0.7, "rules:crossing")
    if any(map(lowered.__contains__, _LIVES)):
        for m in _HOME.finditer(text):
            place = m.span(m.lastgroup or 0)
            yield Finding((), *place, "STREET_ADDRESS", 0.7, "rules:home")
    if "\n" in text:
        for m in _UNIT_LINE.finditer(text):
            above = text[text.rfind("\n", 0, m.start()) + 1 : m.start()]
            if len(above) < BEFORE and any(c.isdigit() for c in above):
                yield Finding((), *m.span("v"), "STREET_ADDRESS", 0.65, "rules:unit")
