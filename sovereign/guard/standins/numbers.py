"""Stand-ins of numbers and identifiers: digits for digits, letters for letters, separators kept.

Ranges that nobody has: NANP 555-0100 to 0199 (ATIS-0300115), 07700 900000 to 900999 (Ofcom), cards
under 999999 (no issuer: ISO/IEC 7812 leaves 9 to national bodies), social security numbers of area
9 with a group below 50 (neither SSN nor ITIN), 192.0.2.0/24 and its like (RFC 5737), 2001:db8::/32
(RFC 3849), MAC addresses that are locally administered (IEEE 802).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from sovereign.guard.standins.chance import Chance

__all__ = ["card", "iban", "identifier", "ip", "mac", "phone", "scrambled", "ssn"]

MIN_SIZE = 7
"""Letters and digits; what is shorter stands in too many replies by chance."""

_NETS = ("192.0.2", "198.51.100", "203.0.113")


def identifier(value: str, chance: Chance) -> str | None:
    """Any identifier with four digits or more: same length, same places of letters and digits."""
    if not _ascii(value) or sum(c.isdigit() for c in value) < 4:
        return None
    size = sum(c.isalnum() for c in value)
    return scrambled(value, chance) if size >= MIN_SIZE else None


def phone(value: str, chance: Chance) -> str | None:
    """In the same writing. Country and first digits stay, except where a range is reserved."""
    digits = re.sub(r"\D", "", value)
    if not _ascii(value) or any(c.isalpha() for c in value) or len(digits) < MIN_SIZE:
        return None
    bare = digits.removeprefix("1") if len(digits) == 11 else digits
    abroad = value.lstrip("( ").startswith("+") and not digits.startswith("1")
    if len(bare) == 10 and bare[0] in "23456789" and not abroad:
        area = f"{2 + chance.below(8, value, 'a')}{chance.below(9, value, 'b')}"
        new = f"{area}{chance.below(10, value, 'c')}55501{chance.below(100, value, 'd'):02d}"
        return _written(value, digits[: len(digits) - 10] + new)
    for prefix in ("447", "07"):
        if digits.startswith(prefix) and len(digits) == len(prefix) + 9:
            new = f"{prefix}700900{chance.below(1000, value):03d}"
            return _written(value, new)
    return scrambled(value, chance, keep=4 if digits.startswith("0") or "+" in value else 2)


def card(value: str, chance: Chance) -> str | None:
    """Same length and grouping, with a right check digit (Luhn)."""
    digits = re.sub(r"\D", "", value)
    if not 12 <= len(digits) <= 19:
        return None
    body = "999999" + _digits(len(digits) - 7, chance.bytes(digits))
    return _written(value, body + _luhn(body))


def iban(value: str, chance: Chance) -> str | None:
    """Same country, length and grouping, with right check digits (ISO 7064, mod 97)."""
    plain = re.sub(r"[^0-9A-Za-z]", "", value).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[0-9A-Z]{11,30}", plain):
        return None
    body = scrambled(plain[4:], chance)
    number = "".join(str(int(c, 36)) for c in body + plain[:2] + "00")
    return _written(value, f"{plain[:2]}{98 - int(number) % 97:02d}{body}")


def ssn(value: str, chance: Chance) -> str | None:
    """Area 900 to 999, group 01 to 49."""
    if len(re.sub(r"\D", "", value)) != 9:
        return None
    area, group = 900 + chance.below(100, value, "a"), 1 + chance.below(49, value, "g")
    return _written(value, f"{area}{group:02d}{1 + chance.below(9999, value, 's'):04d}")


def ip(value: str, chance: Chance) -> str | None:
    """An address of the ranges for documentation."""
    if ":" in value:
        groups = [f"{chance.below(0x10000, value, str(i)):x}" for i in range(4)]
        return "2001:db8:" + ":".join(groups[:2]) + "::" + ":".join(groups[2:])
    return f"{chance.of(_NETS, value)}.{1 + chance.below(254, value, 'host')}"


def mac(value: str, chance: Chance) -> str | None:
    """Six bytes, the first 02."""
    if len(re.sub(r"[^0-9A-Fa-f]", "", value)) != 12:
        return None
    made = "02" + "".join(f"{chance.below(256, value, str(i)):02x}" for i in range(5))
    return _written(value, made.upper() if value.upper() == value else made)


def scrambled(value: str, chance: Chance, *, keep: int = 0) -> str:
    """``value`` with other letters and digits of the same kinds; the first ``keep`` stay."""
    stream, seen, out = chance.bytes(value.upper()), 0, []
    for c in value:
        if c.isascii() and c.isalnum():
            seen += 1
            if seen > keep:
                kind = string.digits if c.isdigit() else string.ascii_uppercase
                new = kind[(next(stream) << 8 | next(stream)) % len(kind)]
                c = new.lower() if c.islower() else new
        out.append(c)
    return "".join(out)


def _written(value: str, new: str) -> str:
    """``new``, one character for each letter or digit of ``value``, in its writing."""
    left = iter(new)
    return "".join(next(left, "0") if c.isalnum() else c for c in value)


def _digits(count: int, stream: Iterator[int]) -> str:
    return "".join(str((next(stream) << 8 | next(stream)) % 10) for _ in range(count))


def _luhn(body: str) -> str:
    total = 0
    for i, c in enumerate(reversed(body)):
        n = int(c) * (2 if i % 2 == 0 else 1)
        total += n - 9 if n > 9 else n
    return str(-total % 10)


def _ascii(value: str) -> bool:
    return value.isascii()
