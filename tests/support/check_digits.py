"""Check digits of the held-out documents, written from the issuers' rules.

Knows nothing of the guard's own checks: a shared mistake would be invisible.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

__all__ = ["BY_TYPE", "CHECKS"]

DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
IBAN_LENGTHS = {
    "AT": 20, "BE": 16, "CH": 21, "CZ": 24, "DE": 22, "ES": 24, "FI": 18, "FR": 27, "GB": 22,
    "HU": 28, "IE": 22, "IT": 27, "NL": 18, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "TR": 26,
}  # fmt: skip
# Codice fiscale: what a character in an odd place is worth (D.M. 23 December 1976), 0-9 and A-Z.
CF_DIGITS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
CF_LETTERS = (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
)  # fmt: skip


def _digits(v: str) -> list[int]:
    return [int(c) for c in v if c.isdigit()]


def _sum(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(d * w for d, w in zip(digits, weights, strict=False))


def luhn(v: str) -> bool:
    """ISO/IEC 7812-1, annex B: cards, IMEI, partita IVA."""
    total = 0
    for place, digit in enumerate(reversed(_digits(v))):
        double = digit * 2 if place % 2 else digit
        total += double - 9 if double > 9 else double
    return total % 10 == 0


def iban(v: str) -> bool:
    """ISO 13616: length of the country, remainder 1 by ISO 7064 MOD 97-10."""
    v = "".join(v.split()).upper()
    moved = "".join(str(int(c, 36)) for c in v[4:] + v[:4])
    return len(v) == IBAN_LENGTHS[v[:2]] and 2 <= int(v[2:4]) <= 98 and int(moved) % 97 == 1


def aba(v: str) -> bool:
    """ABA routing number."""
    d = _digits(v)
    return len(d) == 9 and _sum(d, (3, 7, 1) * 3) % 10 == 0


def vin(v: str) -> bool:
    """49 CFR 565.15: transliterated, weighted, the ninth place is the remainder by eleven."""
    worth = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True))
    values = [int(c) if c.isdigit() else worth[c] for c in v]
    rest = _sum(values, (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(v) == 17 and v[8] == ("X" if rest == 10 else str(rest))


def npi(v: str) -> bool:
    """45 CFR 162.406: Luhn behind the prefix 80840."""
    return len(_digits(v)) == 10 and luhn("80840" + v)


def dea(v: str) -> bool:
    """DEA registration: two letters, seven digits."""
    d = _digits(v)
    return len(d) == 7 and (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def nhs(v: str) -> bool:
    """NHS number."""
    d = _digits(v)
    return len(d) == 10 and (11 - _sum(d[:9], range(10, 1, -1)) % 11) % 11 == d[9]


def pesel(v: str) -> bool:
    """Poland, PESEL."""
    d = _digits(v)
    return len(d) == 11 and _sum(d, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def nip(v: str) -> bool:
    """Poland, tax number."""
    d = _digits(v)
    return len(d) == 10 and _sum(d, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == d[9]


def dowod(v: str) -> bool:
    """Poland, identity card: three letters, six digits, the first of them the check."""
    values = [int(c, 36) for c in v if c.isalnum()]
    return len(values) == 9 and _sum(values, (7, 3, 1, 9, 7, 3, 1, 7, 3)) % 10 == 0


def nir(v: str) -> bool:
    """France, numéro de sécurité sociale: thirteen digits and their complement to 97."""
    d = "".join(c for c in v if c.isdigit())
    return len(d) == 15 and 97 - int(d[:13]) % 97 == int(d[13:])


def dni(v: str) -> bool:
    """Spain, DNI and NIE."""
    v = "".join(c for c in v if c.isalnum())
    number = v[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return len(v) == 9 and DNI[int(number) % 23] == v[-1]


def cf(v: str) -> bool:
    """Italy, codice fiscale."""
    total = 0
    for place, c in enumerate(v[:15]):
        table = CF_DIGITS if c.isdigit() else CF_LETTERS
        total += (
            table[int(c) if c.isdigit() else ord(c) - 65]
            if place % 2 == 0
            else (int(c) if c.isdigit() else ord(c) - 65)
        )
    return len(v) == 16 and chr(65 + total % 26) == v[15]


def nif(v: str) -> bool:
    """Portugal, NIF."""
    d = _digits(v)
    rest = 11 - _sum(d[:8], range(9, 1, -1)) % 11
    return len(d) == 9 and d[8] == (0 if rest > 9 else rest)


def cpf(v: str) -> bool:
    """Brazil, CPF: two check digits."""
    d = _digits(v)
    first, second = (_sum(d, range(n, 1, -1)) * 10 % 11 % 10 for n in (10, 11))
    return len(d) == 11 and d[9:] == [first, second]


def bsn(v: str) -> bool:
    """Netherlands, BSN (elfproef)."""
    d = _digits(v)
    return len(d) == 9 and _sum(d, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def rrn(v: str) -> bool:
    """Belgium, rijksregisternummer of a person born before 2000."""
    d = "".join(c for c in v if c.isdigit())
    return len(d) == 11 and 97 - int(d[:9]) % 97 == int(d[9:])


def steuer(v: str) -> bool:
    """Germany, Steuer-ID: ISO 7064 MOD 11,10."""
    d = _digits(v)
    product = 10
    for digit in d[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return len(d) == 11 and (11 - product) % 10 == d[10]


def kvnr(v: str) -> bool:
    """Germany, Krankenversichertennummer: letter and eight digits, digit sums."""
    d = [int(c) for c in f"{ord(v[0]) - 64:02d}{v[1:]}"]
    total = sum(sum(divmod(x * (1 + i % 2), 10)) for i, x in enumerate(d[:10]))
    return len(d) == 11 and total % 10 == d[10]


def svnr(v: str) -> bool:
    """Austria, Sozialversicherungsnummer: the fourth digit is the check."""
    d = _digits(v)
    return len(d) == 10 and _sum(d, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == d[3]


def ahv(v: str) -> bool:
    """Switzerland, AHV number: EAN-13 behind 756."""
    d = _digits(v)
    return len(d) == 13 and d[:3] == [7, 5, 6] and _sum(d, (1, 3) * 6 + (1,)) % 10 == 0


def personnummer(v: str) -> bool:
    """Sweden: Luhn over ten digits, without the century."""
    d = "".join(c for c in v if c.isdigit())
    return len(d) in (10, 12) and luhn(d[-10:])


def rc(v: str) -> bool:
    """Czech Republic, rodné číslo since 1954."""
    d = "".join(c for c in v if c.isdigit())
    return len(d) == 10 and int(d) % 11 == 0


def tckn(v: str) -> bool:
    """Türkiye, T.C. kimlik no."""
    d = _digits(v)
    tenth = (sum(d[:9:2]) * 7 - sum(d[1:8:2])) % 10
    return len(d) == 11 and d[0] > 0 and d[9:] == [tenth, sum(d[:10]) % 10]


def taj(v: str) -> bool:
    """Hungary, TAJ."""
    d = _digits(v)
    return len(d) == 9 and _sum(d, (3, 7) * 4) % 10 == d[8]


def adoazonosito(v: str) -> bool:
    """Hungary, tax identifier of a person."""
    d = _digits(v)
    return len(d) == 10 and d[0] == 8 and _sum(d, range(1, 10)) % 11 == d[9]


def cnp(v: str) -> bool:
    """Romania, CNP."""
    d = _digits(v)
    rest = _sum(d, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return len(d) == 13 and d[12] == (1 if rest == 10 else rest)


def hetu(v: str) -> bool:
    """Finland, henkilötunnus."""
    return len(v) == 11 and HETU[int(v[:6] + v[7:10]) % 31] == v[10]


def base58(v: str) -> bool:
    """Bitcoin, Base58Check: four bytes of a double SHA-256."""
    number = 0
    for c in v:
        number = number * 58 + BASE58.index(c)
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


CHECKS: dict[str, Callable[[str], bool]] = {
    f.__name__: f
    for f in (
        luhn, iban, aba, vin, npi, dea, nhs, pesel, nip, dowod, nir, dni, cf, nif, cpf, bsn, rrn,
        steuer, kvnr, svnr, ahv, personnummer, rc, tckn, taj, adoazonosito, cnp, hetu, base58,
    )
}  # fmt: skip
# Types whose every value has check digits; others name theirs in the mark.
BY_TYPE = {"CARD": "luhn", "IBAN": "iban", "VIN": "vin"}
