"""IP and MAC addresses, and web addresses. Not versions, networks or hosts of everybody."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sovereign.types import Finding

__all__ = ["ipv4", "others"]

_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d|/\d)")
_NOT_V4 = re.compile(
    r"(?:\bv(?:er(?:sion)?)?|\brelease|\bbuild|\brev(?:ision)?|firmware|bootloader|\bbios|driver|"
    r"section|chapter|clause|\boid|kernel|upgrade\w* to|update\w* to)[\s.:=#v]{0,4}$|§\s?$",
    re.I,
)
_EVERYBODYS = re.compile(r"(?:127|0|255)\.")
_V6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%\w+)?(?![\w:])")
_MAC = re.compile(
    r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])"
    r"|(?<![\w.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w.])"
)
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_MAC_HINT = re.compile(r"[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]")
_DOTTED_MAC_HINT = re.compile(r"\.[0-9A-Fa-f]{4}\.")
"""What must stand in an address: searches that start at a rare sign are an order faster."""
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'`]{3,2000}|(?<![\w.])www\.[^\s<>\"'`]{4,2000}", re.I)


_PROFILE = re.compile(
    r"(?:https?://)?(?:[\w-]+\.)?(?:facebook\.com|instagram\.com|tiktok\.com|twitter\.com|x\.com|threads\.net|"
    r"linkedin\.com/in|t\.me|wa\.me|github\.com|gitlab\.com|xing\.com/profile|vk\.com|patreon\.com|venmo\.com)/"
    r"@?[\w.-]{3,60}/?(?![\w/-])",
    re.I,
)
_NO_PROFILE = re.compile(
    r"/(?:about|login|settings|features|pricing|explore|share|search|home|help|legal|privacy)/?$"
)
"""Pages of one person, not of a project or of the service."""


def ipv4(text: str, start: int, end: int) -> Iterator[Finding]:
    """IPv4 addresses in a run of digits."""
    for m in _V4.finditer(text, start, min(len(text), end + 3)):
        value = m.group()
        if (
            all(int(part) < 256 and (part == "0" or part[0] != "0") for part in value.split("."))
            and _EVERYBODYS.match(value) is None
            and _NOT_V4.search(text, max(0, m.start() - 24), m.start()) is None
        ):
            yield Finding((), m.start(), m.end(), "IP_ADDRESS", 0.8, "rules:ipv4")


def others(text: str) -> Iterator[Finding]:
    """IPv6, MAC and web addresses."""
    if _TWO_COLONS.search(text) is not None:
        for m in _V6.finditer(text):
            if _is_v6(m.group()):
                yield Finding((), m.start(), m.end(), "IP_ADDRESS", 0.8, "rules:ipv6")
    marks = text.count(":") + text.count("-")
    if (marks > 3 and _MAC_HINT.search(text)) or _DOTTED_MAC_HINT.search(text):
        for m in _MAC.finditer(text):
            if m.group(1) or any(c.isalpha() for c in m.group()):
                yield Finding((), m.start(), m.end(), "MAC_ADDRESS", 0.85, "rules:mac")
    if "://" in text or "www." in text or "WWW." in text:
        for m in _URL.finditer(text):
            yield Finding((), m.start(), m.end(), "URL", 0.6, "rules:web_address")
    if ".com/" in text or ".me/" in text or ".net/" in text:
        for m in _PROFILE.finditer(text):
            if _NO_PROFILE.search(m.group()) is None and (
                not m.start() or not text[m.start() - 1].isalnum()
            ):
                yield Finding((), m.start(), m.end(), "USERNAME", 0.7, "rules:profile")


def _is_v6(value: str) -> bool:
    plain = value.partition("%")[0]
    if sum(c != ":" for c in plain) < 4 or plain.endswith("::"):  # a network is nobody
        return False
    try:
        address = ipaddress.IPv6Address(plain)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
