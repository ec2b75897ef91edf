"""IBANs and crypto wallets, each with its own check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.guard.glance import classes
from sovereign.guard.recognizers.rules.checks import base58check, bech32, iban, iban_length
from sovereign.types import Finding

__all__ = ["accounts"]

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CLASSES = classes((_LETTERS, b"a"), (b"0123456789", b"9"))
_ALIKE = classes((_LETTERS + b"0123456789", b"x"))
_SHORTEST = b"x" * 14

_TWO_DIGITS = re.compile(r"\d\d(?<=[A-Za-z]{2}..)")
_IBAN = re.compile(r"[A-Za-z]{2}\d{2}(?:[ \u00a0-]{0,2}[A-Za-z0-9]){10,30}")
_SEPARATORS = str.maketrans("", "", " \u00a0-")
_ETH = re.compile(r"(?<![\w])0x[0-9a-fA-F]{40}(?![\w])")
_BECH = re.compile(r"(?<![\w])(?:bc1|tb1|BC1)[02-9ac-hj-np-zAC-HJ-NP-Z]{11,71}(?![\w])")
_BASE58 = re.compile(r"[13](?<![A-Za-z0-9].)[1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])")
_XMR = re.compile(r"4(?<![A-Za-z0-9].)[0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?![A-Za-z0-9])")


def accounts(text: str) -> Iterator[Finding]:
    """IBANs and wallets. Both are looked for only where the classes of characters leave room."""
    raw = text.encode("latin-1", "replace")
    if b"aa99" in raw.translate(_CLASSES):
        yield from _ibans(text)
    if _SHORTEST in raw.translate(_ALIKE):
        yield from _wallets(text)


def _ibans(text: str) -> Iterator[Finding]:
    """Account numbers of ISO 13616, however grouped; as long as their country says."""
    at = 0
    for two in _TWO_DIGITS.finditer(text):
        start = two.start() - 2
        if start < at or (m := _IBAN.match(text, start)) is None:
            continue
        at = m.end()
        if start and text[start - 1].isalnum():
            continue
        want = iban_length(text[start : start + 2].upper())
        end, seen = start, 0
        while end < m.end() and seen < want:
            seen += text[end].isalnum()
            end += 1
        if not want or seen < want or (end < len(text) and text[end].isalnum()):
            continue
        if iban(text[start:end].translate(_SEPARATORS).upper()):
            yield Finding((), start, end, "IBAN_CODE", 1.0, "rules:iban")


def _wallets(text: str) -> Iterator[Finding]:
    """Bitcoin, Ethereum and Monero addresses."""
    if "0x" in text:
        for m in _ETH.finditer(text):
            yield Finding((), m.start(), m.end(), "CRYPTO", 0.8, "rules:ethereum")
    if "c1" in text or "b1" in text or "C1" in text:
        for m in _BECH.finditer(text):
            if bech32(m.group()):
                yield Finding((), m.start(), m.end(), "CRYPTO", 1.0, "rules:bech32")
    for m in _BASE58.finditer(text):
        if base58check(m.group()):
            yield Finding((), m.start(), m.end(), "CRYPTO", 1.0, "rules:base58")
    for m in _XMR.finditer(text):
        yield Finding((), m.start(), m.end(), "CRYPTO", 0.8, "rules:monero")
