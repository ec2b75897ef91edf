"""Check digits of European identifiers. Each takes the compact value in upper case, in its form."""

from __future__ import annotations

import re

from sovereign.guard.recognizers.rules.checks import (
    date6,
    date8,
    iso7064_11_10,
    luhn,
    verhoeff,
    weighted,
)

__all__ = [
    "at_svnr",
    "be_rrn",
    "bg_egn",
    "cz_birth_number",
    "de_health_insurance",
    "de_social_security",
    "de_tax_id",
    "dk_cpr",
    "ean13",
    "ee_isikukood",
    "es_nass",
    "es_nie",
    "es_nif",
    "eu_vat_de",
    "fi_hetu",
    "fr_nir",
    "fr_vat",
    "gr_amka",
    "hr_oib",
    "hu_taj",
    "icao",
    "ie_pps",
    "is_kennitala",
    "it_fiscal_code",
    "it_vat",
    "jmbg",
    "lu_matricule",
    "nl_bsn",
    "no_fodselsnummer",
    "pl_id_card",
    "pl_nip",
    "pl_pesel",
    "pl_regon",
    "pt_nif",
    "ro_cnp",
    "ru_inn",
    "ru_snils",
    "se_personnummer",
    "tr_national_id",
    "uk_nhs",
    "uk_nino",
]


def uk_nhs(v: str) -> bool:
    """NHS number: modulo 11."""
    return (11 - weighted(v, range(10, 1, -1)) % 11) % 11 == int(v[9]) and len(set(v)) > 1


def uk_nino(v: str) -> bool:
    """National insurance number: prefixes that HMRC gives out."""
    return (
        v[0] not in "DFIQUV"
        and v[1] not in "DFIQUVO"
        and v[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")
        and v[8] in "ABCD"
    )


def de_tax_id(v: str) -> bool:
    """Steuer-ID: MOD 11,10; one digit stands twice or thrice among the first ten."""
    counts = sorted((v[:10].count(d) for d in set(v[:10])), reverse=True)
    return v[0] != "0" and counts[0] in (2, 3) and counts[1] == 1 and iso7064_11_10(v)


def de_social_security(v: str) -> bool:
    """Rentenversicherungsnummer: area, birth date, letter, serial, check."""
    number = v[:8] + f"{ord(v[8]) - 64:02d}" + v[9:11]
    total = sum(
        sum(divmod(int(d) * w, 10))
        for d, w in zip(number, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)
    )
    return date6(v[6:8], v[4:6], v[2:4]) and total % 10 == int(v[11])


def de_health_insurance(v: str) -> bool:
    """Krankenversichertennummer: letter as two digits, modulo 10."""
    number = f"{ord(v[0]) - 64:02d}{v[1:9]}"
    total = sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(number))
    return total % 10 == int(v[9])


_ICAO = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def icao(v: str) -> bool:
    """ICAO 9303, weights 7 3 1: German identity cards and passports."""
    return sum(_ICAO.index(c) * (7, 3, 1)[i % 3] for i, c in enumerate(v[:-1])) % 10 == int(v[-1])


def pl_id_card(v: str) -> bool:
    """Dowód osobisty: its check digit stands fourth."""
    values = [_ICAO.index(c) for c in v]
    return (
        sum(a * w for a, w in zip(values, (7, 3, 1, 0, 7, 3, 1, 7, 3), strict=True)) % 10
        == (values[3])
    )


def fr_nir(v: str) -> bool:
    """Numéro de sécurité sociale: sex, year, month, and 97 less modulo 97; Corsica has letters."""
    number = v[:13].replace("2A", "19").replace("2B", "18")
    if v[0] not in "12" or not number.isdigit() or not v[13:].isdigit():
        return False
    month = int(v[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42) and 97 - int(number) % 97 == int(v[13:])


_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def es_nif(v: str) -> bool:
    """DNI: modulo 23 as a letter."""
    return _DNI[int(v[:8]) % 23] == v[8]


def es_nie(v: str) -> bool:
    """NIE: X, Y, Z count as 0, 1, 2."""
    return v[0] in "XYZ" and es_nif(f"{'XYZ'.index(v[0])}{v[1:]}")


def es_nass(v: str) -> bool:
    """Número de la Seguridad Social: modulo 97."""
    return 1 <= int(v[:2]) <= 66 and int(v[:10]) % 97 == int(v[10:])


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)


def it_fiscal_code(v: str) -> bool:
    """Codice fiscale: modulo 26 as a letter."""
    total = sum(
        _ODD[c] if i % 2 == 0 else int(c) if c.isdigit() else ord(c) - 65
        for i, c in enumerate(v[:15])
    )
    return v[8] in "ABCDEHLMPRST" and chr(65 + total % 26) == v[15]


def it_vat(v: str) -> bool:
    """Partita IVA: Luhn."""
    return luhn(v) and v[:7] != "0000000"


def pt_nif(v: str) -> bool:
    """NIF: modulo 11."""
    r = weighted(v, range(9, 1, -1)) % 11
    return v[0] in "1235689" and int(v[8]) == (0 if r < 2 else 11 - r)


def nl_bsn(v: str) -> bool:
    """Burgerservicenummer: the eleven test."""
    return weighted(v, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and v[:6] != "000000"


def be_rrn(v: str) -> bool:
    """Rijksregisternummer: birth date, modulo 97; a 2 before it from 2000 on."""
    rest = int(v[9:])
    dated = v[2:6] == "0000" or date6(v[:2], v[2:4], v[4:6])
    return dated and rest in (97 - int(v[:9]) % 97, 97 - int("2" + v[:9]) % 97)


def at_svnr(v: str) -> bool:
    """Sozialversicherungsnummer: serial, check, birth date."""
    check = weighted(v[:3] + v[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
    return v[0] != "0" and check == int(v[3]) and date6(v[8:], v[6:8], v[4:6])


def ean13(v: str) -> bool:
    """EAN-13, as the Swiss AHV number uses it."""
    return weighted(v, (1, 3) * 6 + (1,)) % 10 == 0


def pl_pesel(v: str) -> bool:
    """PESEL: birth date with the century in the month, modulo 10."""
    return (
        date6(v[:2], f"{int(v[2:4]) % 20:02d}", v[4:6])
        and weighted(v, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0
    )


def pl_nip(v: str) -> bool:
    """NIP: modulo 11."""
    return weighted(v, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(v[9])


def pl_regon(v: str) -> bool:
    """REGON: modulo 11."""
    return weighted(v, (8, 9, 2, 3, 4, 5, 6, 7)) % 11 % 10 == int(v[8])


def cz_birth_number(v: str) -> bool:
    """Rodné číslo, Czech and Slovak: birth date, the whole divisible by 11."""
    month = int(v[2:4])
    month -= 70 if month > 70 else 50 if month > 50 else 20 if month > 20 else 0
    number = int(v)
    fits = number % 11 == 0 or (int(v[:9]) % 11 == 10 and v[9] == "0")
    return 1 <= month <= 12 and date6(v[:2], f"{month:02d}", v[4:6]) and fits


def ro_cnp(v: str) -> bool:
    """Cod numeric personal: sex, birth date, county, modulo 11."""
    check = weighted(v, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (
        v[0] != "0" and date6(v[1:3], v[3:5], v[5:7]) and int(v[12]) == (check % 10 or check // 10)
    )


def bg_egn(v: str) -> bool:
    """ЕГН: birth date with the century in the month, modulo 11."""
    month = int(v[2:4])
    month -= 40 if month > 40 else 20 if month > 20 else 0
    check = weighted(v, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return 1 <= month <= 12 and date6(v[:2], f"{month:02d}", v[4:6]) and check == int(v[9])


def hr_oib(v: str) -> bool:
    """OIB: MOD 11,10."""
    return iso7064_11_10(v)


def jmbg(v: str) -> bool:
    """EMŠO, JMBG: birth date and modulo 11; Slovenia, Serbia, Bosnia, Macedonia, Montenegro."""
    check = 11 - weighted(v, (7, 6, 5, 4, 3, 2) * 2) % 11
    return date6(v[4:7], v[2:4], v[:2]) and int(v[12]) == (0 if check > 9 else check)


def gr_amka(v: str) -> bool:
    """AMKA: birth date, Luhn."""
    return date6(v[4:6], v[2:4], v[:2]) and luhn(v)


def se_personnummer(v: str) -> bool:
    """Personnummer: birth date (day + 60 for coordination numbers), Luhn."""
    v = v[-10:]
    day = int(v[4:6])
    return date6(v[:2], v[2:4], str(day - 60 if day > 60 else day)) and luhn(v)


def no_fodselsnummer(v: str) -> bool:
    """Fødselsnummer: birth date (day + 40 for D numbers), two modulo 11."""
    day = int(v[:2])
    return (
        date6(v[4:6], v[2:4], str(day - 40 if day > 40 else day))
        and weighted(v, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(v, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def dk_cpr(v: str) -> bool:
    """CPR: a birth date; newer numbers carry no check digit."""
    return date6(v[4:6], v[2:4], v[:2])


_HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def fi_hetu(v: str) -> bool:
    """Henkilötunnus: birth date, century sign (a letter, or lost with the hyphen), modulo 31."""
    digits = re.sub(r"^(\d{6})[ABCDEFUVWXY+-]?(\d{3})", r"\1\2", v)
    if not digits[:9].isdigit() or len(digits) != 10:
        return False
    return date6(v[4:6], v[2:4], v[:2]) and _HETU[int(digits[:9]) % 31] == digits[9]


def ee_isikukood(v: str) -> bool:
    """Isikukood, asmens kodas: Estonia and Lithuania; two rounds of modulo 11."""
    check = weighted(v, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(v, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return v[0] in "12345678" and date6(v[1:3], v[3:5], v[5:7]) and check == int(v[10])


def ie_pps(v: str) -> bool:
    """PPS number: modulo 23 as a letter."""
    extra = ord(v[8]) - 64 if len(v) > 8 and v[8] != "W" else 0
    r = (weighted(v, range(8, 1, -1)) + 9 * extra) % 23
    return v[7] == ("W" if r == 0 else chr(64 + r))


def is_kennitala(v: str) -> bool:
    """Kennitala: birth date, modulo 11, century."""
    check = -weighted(v, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return v[9] in "890" and date6(v[4:6], v[2:4], v[:2]) and check == int(v[8])


def hu_taj(v: str) -> bool:
    """TAJ: modulo 10."""
    return weighted(v, (3, 7) * 4) % 10 == int(v[8])


def ru_snils(v: str) -> bool:
    """СНИЛС: modulo 101."""
    return weighted(v, range(9, 0, -1)) % 101 % 100 == int(v[9:])


def ru_inn(v: str) -> bool:
    """ИНН of a person: two modulo 11."""
    one = weighted(v, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    two = weighted(v, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return v[10:] == f"{one}{two}"


def tr_national_id(v: str) -> bool:
    """T.C. kimlik no: two check digits."""
    d = [int(c) for c in v]
    ten = (7 * sum(d[0:9:2]) - sum(d[1:8:2])) % 10
    return d[0] != 0 and ten == d[9] and sum(d[:10]) % 10 == d[10]


def lu_matricule(v: str) -> bool:
    """Matricule: birth date, then Luhn, then Verhoeff, each over the first eleven."""
    return date8(v[:4], v[4:6], v[6:8]) and luhn(v[:12]) and verhoeff(v[:11] + v[12])


def eu_vat_de(v: str) -> bool:
    """Umsatzsteuer-ID: MOD 11,10."""
    return v[:2] == "DE" and iso7064_11_10(v[2:])


def fr_vat(v: str) -> bool:
    """Numéro de TVA: modulo 97 over the SIREN."""
    return v[:2] == "FR" and luhn(v[4:]) and (12 + 3 * (int(v[4:]) % 97)) % 97 == int(v[2:4])
