"""Check digits. Each function takes a compact value, letters upper-case and no separators, of the
right length and alphabet, and says whether its check digits fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = [
    "base58check",
    "bech32",
    "date6",
    "date8",
    "iban",
    "iban_length",
    "iso7064_11_2",
    "iso7064_11_10",
    "luhn",
    "mod97",
    "verhoeff",
    "vin",
    "weighted",
]


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the first digits, each times its weight."""
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: payment cards, NPI, IMEI and others."""
    total = sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(d)] for d in digits[-2::-2])
    return total % 10 == 0


def mod97(value: str) -> int:
    """ISO 7064 MOD 97-10's remainder; letters count from A = 10."""
    return int("".join(str(int(c, 36)) for c in value)) % 97


_IBAN = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30,
    "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip


def iban(value: str) -> bool:
    """ISO 13616, with the length that its country says."""
    return _IBAN.get(value[:2]) == len(value) and mod97(value[4:] + value[:4]) == 1


def iban_length(country: str) -> int:
    """How long an IBAN of ``country`` is; 0 if it has none."""
    return _IBAN.get(country, 0)


_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_P = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def verhoeff(digits: str) -> bool:
    """Verhoeff's dihedral check: Aadhaar."""
    c = 0
    for i, d in enumerate(reversed(digits)):
        c = int(_D[c][int(_P[i % 8][int(d)])])
    return c == 0


def iso7064_11_10(digits: str) -> bool:
    """ISO 7064 MOD 11,10: Steuer-ID, OIB."""
    p = 10
    for d in digits[:-1]:
        p = (p + int(d)) % 10 or 10
        p = p * 2 % 11
    return (p + int(digits[-1])) % 10 == 1


def iso7064_11_2(value: str) -> bool:
    """ISO 7064 MOD 11-2, last place may be X: Chinese resident identity."""
    p = 0
    for d in value[:-1]:
        p = (p + int(d)) * 2 % 11
    return (p + (10 if value[-1] == "X" else int(value[-1]))) % 11 == 1


_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def date6(year: str, month: str, day: str) -> bool:
    """Whether month and day can be; the year may be any."""
    m, d = int(month), int(day)
    return 1 <= m <= 12 and 1 <= d <= _DAYS[m - 1]


def date8(year: str, month: str, day: str) -> bool:
    """As :func:`date6`, of a person that may live."""
    return 1900 <= int(year) <= 2035 and date6(year, month, day)


_VIN = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(value: str) -> bool:
    """49 CFR 565.15(c): North American vehicles."""
    total = weighted("".join(_VIN.get(c, c) for c in value), _VIN_WEIGHTS) % 11
    return value[8] == ("X" if total == 10 else str(total))


_B58 = {c: i for i, c in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}


def base58check(value: str) -> bool:
    """Bitcoin's older addresses: four bytes of a double SHA-256."""
    number = 0
    for c in value:
        if c not in _B58:
            return False
        number = number * 58 + _B58[c]
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


_B32 = {c: i for i, c in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def bech32(value: str) -> bool:
    """BIP 173 and BIP 350: Bitcoin's newer addresses."""
    prefix, _, data = value.lower().rpartition("1")
    if not prefix or any(c not in _B32 for c in data):
        return False
    check = 1
    high = [ord(c) >> 5 for c in prefix]
    for v in [*high, 0, *(ord(c) & 31 for c in prefix), *(_B32[c] for c in data)]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ v
        for i, g in enumerate(_GENERATOR):
            check ^= g if top >> i & 1 else 0
    return check in (1, 0x2BC830A3)
