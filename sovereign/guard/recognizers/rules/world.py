"""Check digits of identifiers from outside Europe. Each takes the compact value in upper case."""

from __future__ import annotations

from sovereign.guard.recognizers.rules.checks import (
    date6,
    date8,
    iso7064_11_2,
    luhn,
    verhoeff,
    weighted,
)

__all__ = [
    "ae_id",
    "ar_cuit",
    "au_abn",
    "au_acn",
    "au_medicare",
    "au_tfn",
    "br_cnpj",
    "br_cpf",
    "ca_sin",
    "cl_rut",
    "cn_resident",
    "co_nit",
    "hk_id",
    "id_nik",
    "il_id",
    "imei",
    "in_aadhaar",
    "in_gstin",
    "in_pan",
    "jp_my_number",
    "kr_rrn",
    "kz_iin",
    "mx_curp",
    "mx_rfc",
    "my_nric",
    "nz_ird",
    "sa_id",
    "sg_nric",
    "th_tnin",
    "tw_id",
    "us_dea",
    "us_itin",
    "us_mbi",
    "us_npi",
    "us_routing",
    "us_ssn",
    "za_id",
]


def us_ssn(v: str) -> bool:
    """Social Security number: areas, groups and serials that are given out."""
    return (
        v[:3] not in ("000", "666")
        and v[0] != "9"
        and v[3:5] != "00"
        and v[5:] != "0000"
        and v not in ("078051120", "219099999", "123456789", "111111111", "987654321")
        and len(set(v)) > 1
    )


def us_itin(v: str) -> bool:
    """Individual taxpayer number: 9, and groups that the IRS gives out."""
    group = int(v[3:5])
    return v[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 99) and (
        group not in (89, 93)
    )  # fmt: skip


def us_npi(v: str) -> bool:
    """National provider identifier: Luhn after 80840."""
    return v[0] in "12" and luhn("80840" + v)


def us_dea(v: str) -> bool:
    """DEA registration: odd places and twice the even ones."""
    d = [int(c) for c in v[2:]]
    return v[0] in "ABCDEFGHJKLMPRSTUX" and (
        d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])
    ) % 10 == d[6]  # fmt: skip


def us_routing(v: str) -> bool:
    """ABA routing number: weights 3 7 1, districts of the Federal Reserve."""
    first = int(v[:2])
    district = first <= 12 or 21 <= first <= 32 or 61 <= first <= 72 or first == 80
    return district and first > 0 and weighted(v, (3, 7, 1) * 3) % 10 == 0


def us_mbi(v: str) -> bool:
    """Medicare beneficiary identifier: no S, L, O, I, B, Z."""
    return v[0] != "0" and not set(v) & set("SLOIBZ")


def ca_sin(v: str) -> bool:
    """Social insurance number: Luhn."""
    return v[0] not in "08" and luhn(v)


def mx_curp(v: str) -> bool:
    """CURP: birth date, sex, modulo 10 over a table of 37 signs."""
    table = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"
    total = sum(table.index(c) * (18 - i) for i, c in enumerate(v[:17]))
    return v[10] in "HMX" and date6(v[4:6], v[6:8], v[8:10]) and -total % 10 == int(v[17])


def mx_rfc(v: str) -> bool:
    """RFC of a person: birth date (its check is optional in practice)."""
    return date6(v[4:6], v[6:8], v[8:10])


def _brazil(v: str, weights: tuple[int, ...]) -> str:
    r = weighted(v, weights) % 11
    return "0" if r < 2 else str(11 - r)


def br_cpf(v: str) -> bool:
    """CPF: two modulo 11."""
    one = _brazil(v, tuple(range(10, 1, -1)))
    return len(set(v)) > 1 and v[9:] == one + _brazil(v, tuple(range(11, 1, -1)))


def br_cnpj(v: str) -> bool:
    """CNPJ: two modulo 11."""
    one = _brazil(v, (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
    return len(set(v)) > 1 and v[12:] == one + _brazil(v, (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


def ar_cuit(v: str) -> bool:
    """CUIT, CUIL: modulo 11."""
    check = 11 - weighted(v, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return v[:2] in ("20", "23", "24", "27", "30", "33", "34") and int(v[10]) == check % 11


def cl_rut(v: str) -> bool:
    """RUT: modulo 11, last place may be K."""
    total = sum(int(d) * (2 + i % 6) for i, d in enumerate(reversed(v[:-1])))
    return v[-1] == "0123456789K0"[11 - total % 11]


def co_nit(v: str) -> bool:
    """NIT: modulo 11 over primes."""
    r = weighted(v, (41, 37, 29, 23, 19, 17, 13, 7, 3)) % 11
    return int(v[9]) == (r if r < 2 else 11 - r)


def in_aadhaar(v: str) -> bool:
    """Aadhaar: Verhoeff, never begins with 0 or 1."""
    return v[0] not in "01" and v != v[::-1] and verhoeff(v)


def in_pan(v: str) -> bool:
    """PAN: the fourth letter is the holder's kind."""
    return v[3] in "ABCFGHJLPT"


def in_gstin(v: str) -> bool:
    """GSTIN: state, PAN, modulo 36."""
    table = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    total = 0
    for i, c in enumerate(v[:14]):
        total += sum(divmod(table.index(c) * (1 + i % 2), 36))
    return 1 <= int(v[:2]) <= 38 and v[13] == "Z" and table[-total % 36] == v[14]


def cn_resident(v: str) -> bool:
    """Resident identity: region, birth date, MOD 11-2."""
    return v[0] in "12345678" and date8(v[6:10], v[10:12], v[12:14]) and iso7064_11_2(v)


def hk_id(v: str) -> bool:
    """HKID with one letter: modulo 11, last place may be A."""
    number = [36, ord(v[0]) - 55, *map(int, v[1:7]), 10 if v[7] == "A" else int(v[7])]
    return sum(n * w for n, w in zip(number, range(9, 0, -1), strict=True)) % 11 == 0


_TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def tw_id(v: str) -> bool:
    """National identification: letter as two digits, modulo 10."""
    region = 10 + _TAIWAN.index(v[0])
    total = region // 10 + region % 10 * 9 + weighted(v[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))
    return v[1] in "1289" and total % 10 == 0


def kr_rrn(v: str) -> bool:
    """Resident registration: birth date, sex, modulo 11."""
    check = (11 - weighted(v, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return v[6] in "12345678" and date6(v[:2], v[2:4], v[4:6]) and check == int(v[12])


def jp_my_number(v: str) -> bool:
    """Individual Number: modulo 11."""
    r = weighted(v, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(v[11]) == (0 if r < 2 else 11 - r)


def sg_nric(v: str) -> bool:
    """NRIC and FIN: modulo 11 as a letter."""
    total = weighted(v[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(v[0], 0)
    table = {"S": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}
    if v[0] == "M":
        return v[8] == table["M"][10 - total % 11]
    return v[0] in "STFG" and v[8] == table["S" if v[0] in "ST" else "F"][total % 11]


def th_tnin(v: str) -> bool:
    """Thai national identification: modulo 11."""
    return v[0] in "12345678" and (11 - weighted(v, range(13, 1, -1)) % 11) % 10 == int(v[12])


def my_nric(v: str) -> bool:
    """MyKad: birth date and place; no check digit."""
    return date6(v[:2], v[2:4], v[4:6]) and v[6:8] != "00"


def id_nik(v: str) -> bool:
    """NIK: region, birth date (day + 40 for women); no check digit."""
    day = int(v[6:8])
    return date6(v[10:12], v[8:10], str(day - 40 if day > 40 else day)) and 11 <= int(v[:2]) <= 96


def au_tfn(v: str) -> bool:
    """Tax file number: modulo 11."""
    return weighted(v, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and len(set(v)) > 1


def au_medicare(v: str) -> bool:
    """Medicare card: modulo 10."""
    return v[0] in "23456" and weighted(v, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(v[8])


def au_abn(v: str) -> bool:
    """Business number: modulo 89."""
    first = str(int(v[0]) - 1)
    return (
        v[0] != "0" and weighted(first + v[1:], (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) % 89 == 0
    )


def au_acn(v: str) -> bool:
    """Company number: modulo 10."""
    return -weighted(v, range(8, 0, -1)) % 10 == int(v[8])


def nz_ird(v: str) -> bool:
    """IRD number: modulo 11, a second round if it gives 10."""
    v = v.zfill(9)
    for weights in ((3, 2, 7, 6, 5, 4, 3, 2), (7, 4, 3, 2, 5, 2, 7, 6)):
        check = -weighted(v, weights) % 11
        if check != 10:
            return 10_000_000 <= int(v) <= 150_000_000 and check == int(v[8])
    return False


def za_id(v: str) -> bool:
    """South African identity: birth date, citizenship, Luhn."""
    return date6(v[:2], v[2:4], v[4:6]) and v[10] in "012" and luhn(v)


def il_id(v: str) -> bool:
    """Teudat zehut: Luhn over nine digits."""
    return luhn(v) and len(set(v)) > 1


def ae_id(v: str) -> bool:
    """Emirates ID: 784, year, Luhn."""
    return v[:3] == "784" and 1900 <= int(v[3:7]) <= 2035 and luhn(v)


def sa_id(v: str) -> bool:
    """Saudi national identity and iqama: Luhn."""
    return v[0] in "12" and luhn(v)


def kz_iin(v: str) -> bool:
    """ИИН: birth date, modulo 11, a second round if it gives 10."""
    check = weighted(v, range(1, 12)) % 11
    if check == 10:
        check = weighted(v, (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)) % 11
    return date6(v[:2], v[2:4], v[4:6]) and check == int(v[11])


def imei(v: str) -> bool:
    """IMEI: Luhn."""
    return luhn(v) and len(set(v)) > 2
