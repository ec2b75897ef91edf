"""The table of identifiers: what each looks like, which check it passes, which words name it.

A shape writes a digit as 9, a letter as A, either as *; separators do not count. ``alone`` says
that shape and check are enough without any word: so rarely does anything else look like it.
``written`` is a written form that is enough; a bare number of the same shape still needs its word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product

from sovereign.guard.recognizers.rules import europe as eu
from sovereign.guard.recognizers.rules import world as w
from sovereign.guard.recognizers.rules.checks import iban, luhn

__all__ = [
    "BY_SHAPE",
    "FORMS",
    "LONGEST",
    "WORDS_BY_SHAPE",
    "WRITTEN_BY_SHAPE",
    "Form",
    "card",
]


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of identifier. ``words`` is a pattern of lower-case words that name it."""

    name: str
    entity: str
    shapes: tuple[str, ...]
    check: Callable[[str], bool]
    words: str
    alone: bool = False
    written: re.Pattern[str] | None = None


def card(v: str) -> bool:
    """A payment card: a network's first digits, its length, Luhn."""
    n = len(v)
    network = (
        (v[0] == "4" and n in (13, 16, 19))
        or (v[:2] in ("34", "37") and n == 15)
        or (n == 16 and ("51" <= v[:2] <= "55" or "2221" <= v[:4] <= "2720" or v[:2] == "35"))
        or (n in (14, 16) and v[:2] in ("30", "36", "38", "39"))
        or (16 <= n <= 19 and v[:2] in ("60", "62", "64", "65", "81"))
        or (12 <= n <= 19 and v[:2] in ("50", "56", "57", "58", "63", "67"))
    )
    return network and luhn(v) and len(set(v)) > 1


def _f(
    name: str,
    entity: str,
    shapes: str,
    check: Callable[[str], bool],
    words: str,
    written: str | bool = False,
) -> Form:
    """``written``: a pattern, or whether the shape alone is enough."""
    pattern = re.compile(written) if isinstance(written, str) else None
    expanded = tuple(
        "".join(signs)
        for shape in shapes.split()
        for signs in product(*("9A" if c == "*" else c for c in shape))
    )
    return Form(name, entity, expanded, check, words, written is True, pattern)


def _nine(*lengths: int) -> str:
    return " ".join("9" * n for n in lengths)


_ID = "IDENTIFIER"
FORMS: tuple[Form, ...] = (
    _f(
        "card",
        "CREDIT_CARD",
        _nine(13, 14, 15, 16, 17, 18, 19),
        card,
        r"card|visa|amex|master|karte|tarjeta|carte",
        r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}",
    ),
    # North America
    _f(
        "us_ssn",
        "US_SSN",
        _nine(9),
        w.us_ssn,
        r"ssn|social|\bss ?#",
        r"\d{3}([-.\u00a0 ])\d{2}\1\d{4}",
    ),
    _f("us_itin", "US_ITIN", _nine(9), w.us_itin, r"itin|taxpayer|tax ?id", r"\d{3}-\d{2}-\d{4}"),
    _f("us_npi", "US_NPI", _nine(10), w.us_npi, r"npi|provider"),
    _f(
        "us_dea",
        "MEDICAL_LICENSE",
        "AA9999999 A99999999",
        lambda v: v[1].isalpha() and w.us_dea(v),
        r"dea",
    ),
    _f("us_mbi", "US_MBI", "9A*9A*9AA99", w.us_mbi, r"mbi|medicare|beneficiary", True),
    _f("us_routing", "ABA_ROUTING_NUMBER", _nine(9), w.us_routing, r"routing|aba|\brtn|transit"),
    _f(
        "ca_sin",
        "CA_SIN",
        _nine(9),
        w.ca_sin,
        r"\bsin\b|social insurance|assurance sociale|\bnas\b",
    ),
    _f("mx_curp", "MX_CURP", "AAAA999999AAAAAA*9", w.mx_curp, r"curp", True),
    _f("mx_rfc", "MX_RFC", "AAAA999999***", w.mx_rfc, r"rfc", r"[A-Z]{4}\d{6}[A-Z\d]{2}[A\d]"),
    # South America
    _f("br_cpf", "BR_CPF", _nine(11), w.br_cpf, r"cpf|cadastro", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    _f("br_cnpj", "BR_CNPJ", _nine(14), w.br_cnpj, r"cnpj", r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}"),
    _f("ar_cuit", "AR_CUIT", _nine(11), w.ar_cuit, r"cui[tl]", r"\d{2}-\d{8}-\d"),
    _f(
        "cl_rut",
        "CL_RUT",
        "99999999A 9999999A 999999999 99999999",
        w.cl_rut,
        r"\brut\b|\brun\b",
        r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]",
    ),
    _f("co_nit", "CO_NIT", _nine(10), w.co_nit, r"\bnit\b"),
    # British Isles
    _f("uk_nhs", "UK_NHS", _nine(10), eu.uk_nhs, r"nhs|national health"),
    _f("uk_nino", "UK_NINO", "AA999999A", eu.uk_nino, r"nino|national insurance|\bni\b", True),
    _f("ie_pps", "IE_PPS", "9999999A 9999999AA", eu.ie_pps, r"pps"),
    # German-speaking
    _f(
        "de_tax_id",
        "DE_TAX_ID",
        _nine(11),
        eu.de_tax_id,
        r"steuer|idnr|tin\b|tax",
        r"\d{2} \d{3} \d{3} \d{3}",
    ),
    _f(
        "de_social_security",
        "DE_SOCIAL_SECURITY",
        "99999999A999",
        eu.de_social_security,
        r"rente|sozial|rvnr|svnr|versicherung",
        True,
    ),
    _f(
        "de_health_insurance",
        "DE_HEALTH_INSURANCE",
        "A999999999",
        eu.de_health_insurance,
        r"kranken|kvnr|versichert|kasse",
    ),
    _f("de_id_card", "DE_ID_CARD", "A********9", eu.icao, r"ausweis|personalausweis|\bid card"),
    _f("de_vat_id", "DE_VAT_ID", "AA999999999", eu.eu_vat_de, r"ust|umsatz|vat|mwst", True),
    _f(
        "at_svnr",
        "AT_SVNR",
        _nine(10),
        eu.at_svnr,
        r"svnr|sv-?n|sozialvers|versicherungsn",
        r"\d{4} \d{6}",
    ),
    _f(
        "ch_ahv",
        "CH_AHV",
        _nine(13),
        lambda v: v.startswith("756") and eu.ean13(v),
        r"ahv|avs|oasi",
        True,
    ),
    # Romance-speaking
    _f(
        "fr_nir",
        "FR_NIR",
        "999999999999999 99999A999999999",
        eu.fr_nir,
        r"s[ée]curit[ée] sociale|nir\b|insee|\bss\b",
        True,
    ),
    _f("fr_vat", "FR_VAT", "AA99999999999", eu.fr_vat, r"tva|vat", True),
    _f("es_nif", "ES_NIF", "99999999A", eu.es_nif, r"nif|dni|documento", True),
    _f("es_nie", "ES_NIE", "A9999999A", eu.es_nie, r"nie|extranjero", True),
    _f(
        "es_nass",
        "ES_NASS",
        _nine(12),
        eu.es_nass,
        r"seguridad social|nass|nuss|afiliaci",
        r"\d{2}[ /]\d{8}[ /]\d{2}",
    ),
    _f(
        "it_fiscal_code",
        "IT_FISCAL_CODE",
        "AAAAAA99A99A999A",
        eu.it_fiscal_code,
        r"fiscale|c\.f\.|\bcf\b",
        True,
    ),
    _f("it_vat_code", "IT_VAT_CODE", _nine(11), eu.it_vat, r"iva|p\.i"),
    _f("pt_nif", "PT_NIF", _nine(9), eu.pt_nif, r"nif|contribuinte"),
    _f("ro_cnp", "RO_CNP", _nine(13), eu.ro_cnp, r"cnp|numeric personal"),
    # Benelux
    _f("nl_bsn", "NL_BSN", _nine(9), eu.nl_bsn, r"bsn|burgerservice|sofi"),
    _f(
        "be_rrn",
        "BE_RRN",
        _nine(11),
        eu.be_rrn,
        r"rijksregister|registre national|rrn|niss|insz",
        r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}",
    ),
    _f("lu_matricule", "LU_MATRICULE", _nine(13), eu.lu_matricule, r"matricule|cns"),
    # North and Baltic
    _f(
        "se_personnummer",
        "SE_PERSONNUMMER",
        _nine(10, 12),
        eu.se_personnummer,
        r"personnr|personnummer|samordning",
        r"(?:\d{2})?\d{6}[-+]\d{4}",
    ),
    _f(
        "no_fodselsnummer",
        "NO_FODSELSNUMMER",
        _nine(11),
        eu.no_fodselsnummer,
        r"f[øo]dsels|personnr|personnummer|d-nummer",
        True,
    ),
    _f("dk_cpr", "DK_CPR", _nine(10), eu.dk_cpr, r"cpr|personnummer"),
    _f(
        "fi_hetu",
        "FI_PERSONAL_IDENTITY_CODE",
        "9999999999 999999999A 999999A9999 999999A999A",
        eu.fi_hetu,
        r"hetu|henkil[öo]tunnus|personbeteckning",
        r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]",
    ),
    _f(
        "is_kennitala",
        "IS_KENNITALA",
        _nine(10),
        eu.is_kennitala,
        r"kennitala|kt\.",
        r"\d{6}-\d{4}",
    ),
    _f(
        "ee_isikukood",
        "EE_ISIKUKOOD",
        _nine(11),
        eu.ee_isikukood,
        r"isikukood|asmens kodas|personal code",
    ),
    # East and south-east
    _f("pl_pesel", "PL_PESEL", _nine(11), eu.pl_pesel, r"pesel"),
    _f(
        "pl_nip",
        "PL_NIP",
        _nine(10),
        eu.pl_nip,
        r"nip\b",
        r"\d{3}-\d{3}-\d{2}-\d{2}|\d{3}-\d{2}-\d{2}-\d{3}",
    ),
    _f("pl_regon", "PL_REGON", _nine(9), eu.pl_regon, r"regon"),
    _f("pl_account", "IBAN_CODE", "9" * 26, lambda v: iban(f"PL{v}"), r"konto|rachun|nrb", True),
    _f("pl_id_card", "PL_ID_CARD", "AAA999999", eu.pl_id_card, r"dow[óo]d|osobist"),
    _f(
        "cz_birth_number",
        "CZ_BIRTH_NUMBER",
        _nine(10),
        eu.cz_birth_number,
        r"rodn[ée]|r\. ?[čc]\.",
        r"\d{6}/\d{4}",
    ),
    _f("hu_taj", "HU_TAJ", _nine(9), eu.hu_taj, r"taj\b"),
    _f("bg_egn", "BG_EGN", _nine(10), eu.bg_egn, r"егн|egn"),
    _f("hr_oib", "HR_OIB", _nine(11), eu.hr_oib, r"oib"),
    _f("jmbg", "JMBG", _nine(13), eu.jmbg, r"jmbg|em[šs]o|јмбг|матични"),
    _f("gr_amka", "GR_AMKA", _nine(11), eu.gr_amka, r"αμκα|amka"),
    _f("ru_snils", "RU_SNILS", _nine(11), eu.ru_snils, r"снилс|snils", r"\d{3}-\d{3}-\d{3} \d{2}"),
    _f("ru_inn", "RU_INN", _nine(12), eu.ru_inn, r"инн|inn\b"),
    _f("tr_national_id", "TR_NATIONAL_ID", _nine(11), eu.tr_national_id, r"kimlik|tckn|t\.?c\.?"),
    _f("kz_iin", "KZ_IIN", _nine(12), w.kz_iin, r"иин|iin\b"),
    # Middle East and Africa
    _f("il_id", "IL_ID", _nine(9), w.il_id, r"teudat|zehut|תעודת|ת\.ז|israeli id"),
    _f("ae_id", "AE_ID", _nine(15), w.ae_id, r"emirates", r"784-\d{4}-\d{7}-\d"),
    _f("sa_id", "SA_ID", _nine(10), w.sa_id, r"iqama|saudi|الهوية"),
    _f("za_id", "ZA_ID_NUMBER", _nine(13), w.za_id, r"\bid\b|identity|identiteit|south african"),
    # Asia and the Pacific
    _f(
        "in_aadhaar",
        "IN_AADHAAR",
        _nine(12),
        w.in_aadhaar,
        r"aadha?ar|uidai|आधार",
        r"\d{4}([ -])\d{4}\1\d{4}",
    ),
    _f("in_pan", "IN_PAN", "AAAAA9999A", w.in_pan, r"\bpan\b|permanent account", True),
    _f("in_gstin", "IN_GSTIN", "99AAAAA9999A*A*", w.in_gstin, r"gst", True),
    _f(
        "cn_resident",
        "CN_RESIDENT_ID",
        "999999999999999999 99999999999999999A",
        lambda v: v[-1] in "0123456789X" and w.cn_resident(v),
        r"身份证|resident id",
        True,
    ),
    _f(
        "hk_id",
        "HK_ID",
        "A9999999 A999999A",
        lambda v: v[-1] in "0123456789A" and w.hk_id(v),
        r"hkid|hong kong|身份證",
        r"[A-Z]\d{6} ?\([\dA]\)",
    ),
    _f("tw_id", "TW_ID", "A999999999", w.tw_id, r"身分證|身份證|taiwan"),
    _f("kr_rrn", "KR_RRN", _nine(13), w.kr_rrn, r"주민|rrn\b|resident", r"\d{6}-\d{7}"),
    _f(
        "jp_my_number",
        "JP_MY_NUMBER",
        _nine(12),
        w.jp_my_number,
        r"マイナンバー|個人番号|my number",
    ),
    _f("sg_nric", "SG_NRIC_FIN", "A9999999A", w.sg_nric, r"nric|\bfin\b", True),
    _f("th_tnin", "TH_TNIN", _nine(13), w.th_tnin, r"บัตรประชาชน|thai", r"\d-\d{4}-\d{5}-\d{2}-\d"),
    _f(
        "my_nric",
        "MY_NRIC",
        _nine(12),
        w.my_nric,
        r"mykad|\bic\b|nric|kad pengenalan",
        r"\d{6}-\d{2}-\d{4}",
    ),
    _f("id_nik", "ID_NIK", _nine(16), w.id_nik, r"\bnik\b|ktp"),
    _f("au_tfn", "AU_TFN", _nine(9), w.au_tfn, r"tfn|tax file"),
    _f("au_medicare", "AU_MEDICARE", _nine(10, 11), w.au_medicare, r"medicare"),
    _f("au_abn", "AU_ABN", _nine(11), w.au_abn, r"abn\b|business number"),
    _f("au_acn", "AU_ACN", _nine(9), w.au_acn, r"acn\b|company number"),
    _f("nz_ird", "NZ_IRD", _nine(8, 9), w.nz_ird, r"\bird\b|inland revenue"),
    # Things
    _f("imei", _ID, _nine(15), w.imei, r"imei"),
)

BY_SHAPE: dict[str, tuple[Form, ...]] = {}
for _form in FORMS:
    for _shape in _form.shapes:
        BY_SHAPE[_shape] = (*BY_SHAPE.get(_shape, ()), _form)


def _by_letter(words: str) -> str:
    """The same pattern, its alternatives gathered by their first letter: a search tries few."""
    found: dict[str, list[str]] = {}
    for word in dict.fromkeys(words.split("|")):
        found.setdefault(word[0] if word[0].isalpha() else "", []).append(word)
    return "|".join(
        f"{letter}(?:{'|'.join(word[len(letter) :] for word in group)})"
        for letter, group in found.items()
    )


WORDS_BY_SHAPE = {
    shape: _by_letter("|".join(form.words for form in forms)) for shape, forms in BY_SHAPE.items()
}


def _one_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    """What any of ``patterns`` matches; their groups are counted through."""
    parts, groups = [], 0
    for pattern in patterns:
        moved = partial(_further, groups)
        parts.append(_BACK.sub(moved, pattern.pattern))
        groups += pattern.groups
    return re.compile("|".join(parts))


def _further(by: int, back: re.Match[str]) -> str:
    return f"\\{int(back[1]) + by}"


_BACK = re.compile(r"\\(\d)")
WRITTEN_BY_SHAPE = {
    shape: _one_of(written)
    for shape, forms in BY_SHAPE.items()
    if (written := [form.written for form in forms if form.written is not None])
}
"""One pattern for all written forms of a shape."""

LONGEST = max(map(len, BY_SHAPE))
