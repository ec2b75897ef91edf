"""Identifiers that show by their own form: secrets, private keys, tokens, e-mail and web addresses,
simple street addresses, HL7 persons. One pattern each, no label needed."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sovereign.types import Finding

__all__ = ["RULES", "Rule", "RulesRecognizer"]


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` finds ``entity``: its group ``v`` if it has one, else the whole match. It is tried
    only where ``hint`` stands in the lower-cased text."""

    name: str
    entity: str
    score: float
    pattern: re.Pattern[str]
    hint: tuple[str, ...] = ()
    check: Callable[[str], bool] | None = None


_words = str.split
_PLACEHOLDERS = frozenset(
    _words(
        "password passwd pass pwd changeme change-me secret example test guest root admin user token "
        "xxx xxxx xxxxx your-password yourpassword placeholder redacted postgres none null"
    )
)


def no_placeholder(value: str) -> bool:
    """Whether a password may be real: no word that manuals write in its place."""
    return value.lower() not in _PLACEHOLDERS and len(set(value)) > 2


def _vin(value: str) -> bool:
    """ISO 3779: seventeen characters, digits and letters; most carry a check digit (49 CFR 565)."""
    return sum(c.isdigit() for c in value) >= 4 and sum(c.isalpha() for c in value) >= 3


def _mixed(value: str) -> bool:
    """Letters and digits, as random keys have."""
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


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

RULES: tuple[Rule, ...] = (
    Rule(
        "private_key",
        "SECRET",
        1.0,
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]|-(?!----END)){0,16000}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        ("private key",),
    ),
    Rule(
        "jwt",
        "SECRET",
        1.0,
        re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]{0,}"),
        ("eyj",),
    ),
    Rule(
        "known_prefix",
        "SECRET",
        1.0,
        re.compile(
            r"(?<![A-Za-z0-9])(?:"
            r"sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{16,200}|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,99}"
            r"|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,251}|github_pat_\w{22,255}"
            r"|glpat-[\w-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{20,}"
            r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,}|SG\.[\w-]{16,}\.[\w-]{16,}"
            r"|dop_v1_[a-f0-9]{64}|shpat_[a-fA-F0-9]{32}|key-[a-f0-9]{32}|AGE-SECRET-KEY-1[A-Z0-9]{50,}"
            r"|dapi[a-f0-9]{32}|nvapi-[\w-]{20,}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|tskey-[\w-]{20,}"
            r")(?![A-Za-z0-9])"
        ),
    ),
    Rule(
        "url_password",
        "SECRET",
        0.95,
        re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:(?P<v>[^\s/@]{3,200})@", re.I),
        ("://",),
        no_placeholder,
    ),
    Rule(
        "bearer",
        "SECRET",
        0.95,
        re.compile(r"\b(?:bearer|basic|token)\s+(?P<v>[A-Za-z0-9+/_.~-]{16,500}={0,2})", re.I),
        ("bearer", "basic", "token"),
        _mixed,
    ),
    Rule(
        "web_address",
        "URL",
        0.6,
        re.compile(r"\b(?:https?|ftp)://[^\s<>\"'`]{3,2000}|\bwww\.[^\s<>\"'`]{4,2000}", re.I),
        ("://", "www."),
    ),
    Rule("in_pan", "IN_PAN", 0.75, re.compile(r"\b[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]\b")),
    Rule(
        "vin",
        "VEHICLE_ID",
        0.75,
        re.compile(r"\b[A-HJ-NPR-Z0-9]{11}[A-HJ-NPR-Z0-9]\d{5}\b"),
        (),
        _vin,
    ),
    Rule(
        "phone_international",
        "PHONE_NUMBER",
        0.75,
        re.compile(
            r"(?<![\w.+])(?:\+|00)[1-9]\d{0,2}[\s.\-]?(?:\(0?\d{1,4}\)[\s.\-]?)?\d{1,4}"
            r"(?:[\s.\-/]{1,2}\d{2,4}){1,4}(?!\d)|(?<![\w.+])\+\d{9,14}(?!\d)"
        ),
    ),
    Rule(
        "phone_national",
        "PHONE_NUMBER",
        0.7,
        re.compile(
            r"(?<![\w.+-])(?:1[\s.\-])?(?:\(\d{3}\)\s?|\d{3}[\-. ])\d{3}[\-. ]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w-])"
            r"|(?<![\w.+-])\(?0\d{2,4}\)?[\s/\-]{1,3}\d{3,4}[\s\-]?\d{2,4}(?:[\s\-]?\d{2,4})?(?![\w-])"
            r"|(?<![\w.+-])0\d(?:[ .]\d\d){4}(?![\w-])"
        ),
    ),
    Rule(
        "street_number_first",
        "STREET_ADDRESS",
        0.75,
        re.compile(
            rf"(?<![\w.#-])\d{{1,6}}[A-Za-z]?,?(?:\s(?:[NSEW]|[NS][EW]|North|South|East|West)\.?)?"
            rf"(?:\s{_CAP}){{1,4}}\s{_TYPES}\b\.?(?:\s(?:[NSEW]|[NS][EW])\b\.?)?{_UNIT}"
        ),
    ),
    Rule(
        "street_upper_case",
        "STREET_ADDRESS",
        0.7,
        re.compile(
            rf"(?<![\w.#-])\d{{1,6}}(?:\s[A-Z0-9]{{1,20}}){{1,4}}\s(?:{_TYPES[3:-1].upper()})\b"
        ),
    ),
    Rule(
        "street_lower_case",
        "STREET_ADDRESS",
        0.6,
        re.compile(
            r"(?<![\w.#-])\d{2,6}(?:\s[a-z]{3,20}){1,3}\s(?:street|avenue|road|boulevard|lane)\b"
        ),
    ),
    Rule(
        "street_number_last",
        "STREET_ADDRESS",
        0.75,
        re.compile(
            r"\b(?:[A-ZÀ-Þ][\w-]{1,40}\s?-?){0,3}[\w-]{0,30}(?:straße|strasse|str\.|gasse|allee|weg|platz|"
            r"straat|laan|gatan|gata|vägen|vej|gade|katu|tie)\s\d{1,4}\s?[a-z]?\b"
            r"|\b(?:Calle|Avenida|Avda\.?|C/|Paseo|Plaza|Via|Viale|Corso|Piazza|Rua|ulica|ul\.|al\.)\s"
            rf"(?:{_WORD}\s){{0,4}}{_WORD},?\s(?:n[.ºo°]*\s?)?\d{{1,4}}\b"
            rf"|\b\d{{1,4}}(?:\s?(?:bis|ter))?,?\s(?:rue|avenue|boulevard|bd|place|chemin|allée|impasse|quai)\s"
            rf"(?:{_WORD}\s?){{1,5}}"
        ),
    ),
    Rule(
        "street_and_unit",
        "STREET_ADDRESS",
        0.65,
        re.compile(
            rf"(?<![\w.#-])\d{{1,6}}\s(?!Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
            rf"[A-ZÀ-Þ][^\W\d_]{{2,30}}(?:\s[A-ZÀ-Þ][^\W\d_]{{2,30}})?\s\d{{1,4}}\b(?![.:%/-]){_UNIT}"
        ),
    ),
    Rule(
        "po_box",
        "STREET_ADDRESS",
        0.7,
        re.compile(r"\b(?:P\.?\s?O\.?\s?Box|Postfach|Apartado)\s\d{1,8}\b", re.I),
    ),
    Rule(
        "us_state_and_code",
        "US_POSTAL_CODE",
        0.7,
        re.compile(rf"\b(?:{_US_STATES})\.?,?\s(?P<v>\d{{5}}(?:-\d{{4}})?)\b"),
    ),
    Rule(
        "hl7_person",
        "PERSON",
        0.9,
        re.compile(r"\b(?P<v>[A-Z][A-Za-z'-]+\^[A-Z][A-Za-z'-]+(?:\^[A-Za-z'-]*)*)"),
        ("^",),
    ),
    Rule(
        "hl7_record_number",
        "MEDICAL_RECORD_NUMBER",
        0.9,
        re.compile(r"(?:^|\|)(?P<v>[A-Z0-9]{4,20})\^\^\^", re.M),
        ("^^^",),
    ),
    Rule(
        "hl7_birth_date",
        "DATE_OF_BIRTH",
        0.9,
        re.compile(r"\^[^|\n]*\|[^|\n]*\|(?P<v>(?:19|20)\d{6})\|[FMOU]?\|"),
        ("^",),
    ),
    Rule(
        "hl7_address",
        "STREET_ADDRESS",
        0.9,
        re.compile(r"\|(?P<v>\d{1,6} [A-Z0-9 .]{3,60})\^"),
        ("^",),
    ),
)

_EMAIL = re.compile(
    r"[\w%'+-]+(?:\.[\w%'+-]+)*@[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+"
)
_LEADING = re.compile(r"^[%'+-]+")


class RulesRecognizer:
    """All rules of this module; each finding names its rule."""

    name = "rules"

    def __init__(self) -> None:
        text = "\n".join(f"{r.name} {r.entity} {r.score} {r.pattern.pattern}" for r in RULES)
        self.build = hashlib.sha256((text + _EMAIL.pattern).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"RulesRecognizer({len(RULES)} rules)"

    def recognize(self, text: str) -> Sequence[Finding]:
        """What has the form of an identifier."""
        found: list[Finding] = []
        lowered = text.lower()
        for rule in RULES:
            if rule.hint and not any(h in lowered for h in rule.hint):
                continue
            group = "v" if "v" in rule.pattern.groupindex else 0
            for match in rule.pattern.finditer(text):
                start, end = match.span(group)
                if start < end and (rule.check is None or rule.check(match[group])):
                    found.append(
                        Finding((), start, end, rule.entity, rule.score, f"rules:{rule.name}")
                    )
        return found + _emails(text)


def _emails(text: str) -> list[Finding]:
    """Around each "@": the pattern is quadratic on a long word, so it sees at most 320 characters,
    which RFC 5321 allows an address."""
    found: list[Finding] = []
    at = text.find("@")
    last = 0
    while at >= 0:
        begin = max(last, at - 64)
        match = None
        for match in _EMAIL.finditer(text, begin, min(len(text), at + 256)):
            if match.start() <= at < match.end():
                break
        if match is not None and match.start() <= at < match.end():
            lead = _LEADING.match(match.group())
            start = match.start() + (lead.end() if lead else 0)
            found.append(
                Finding((), start, match.end(), "EMAIL_ADDRESS", 1.0, "rules:email_address")
            )
            last = match.end()
        at = text.find("@", max(at + 1, last))
    return found
