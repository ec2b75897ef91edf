"""Check digits: published test numbers pass, and a digit wrong fails."""

from __future__ import annotations

import string

import pytest

from sovereign.guard.recognizers.rules import checks, europe, forms, world

_words = str.split

EUROPE = dict(
    line.split()
    for line in """
at_svnr 1237010180
be_rrn 85073003328
bg_egn 7523169263
cz_birth_number 7801233540
de_health_insurance A123456780
de_social_security 15070649C103
de_tax_id 86095742719
ean13 7569217076985
ee_isikukood 37605030299
es_nass 281234567840
es_nie X1234567L
es_nif 12345678Z
eu_vat_de DE136695976
fi_hetu 131052308T
fr_nir 255081416802538
fr_vat FR40303265045
gr_amka 01013099997
hr_oib 33392005961
hu_taj 111111110
icao T220001293
ie_pps 1234567T
is_kennitala 1201743399
it_fiscal_code RSSMRA85T10A562S
it_vat 00743110157
jmbg 0101006500006
lu_matricule 1980010110082
nl_bsn 111222333
no_fodselsnummer 01010050053
pl_id_card ABA300000
pl_nip 1234563218
pl_pesel 44051401359
pl_regon 123456785
pt_nif 123456789
ro_cnp 1800101221144
ru_inn 500100732259
ru_snils 11223344595
se_personnummer 8112189876
tr_national_id 10000000146
uk_nhs 9434765919
""".strip().splitlines()
)
WORLD = dict(
    line.split()
    for line in """
ae_id 784198012345678
ar_cuit 20123456786
au_abn 51824753556
au_acn 004085616
au_medicare 2123456701
au_tfn 123456782
br_cnpj 11222333000181
br_cpf 11144477735
ca_sin 130692544
cl_rut 123456785
cn_resident 11010519491231002X
co_nit 2131234321
hk_id A1234563
il_id 123456782
imei 490154203237518
in_aadhaar 234123412346
in_gstin 27AAPFU0939F1ZV
jp_my_number 123456789018
kr_rrn 9001011234568
kz_iin 850101300114
mx_curp HEGG560427MVZRRL04
nz_ird 49091850
sa_id 1000000008
sg_nric S1234567D
th_tnin 1101700230708
tw_id A123456789
us_dea AB1234563
us_npi 1234567893
us_routing 021000021
za_id 8001015009087
""".strip().splitlines()
)
GENERAL = {
    "luhn": "4111111111111111",
    "iban": "GB29NWBK60161331926819",
    "verhoeff": "234123412346",
    "iso7064_11_10": "86095742719",
    "iso7064_11_2": "11010519491231002X",
    "vin": "1HGCM82633A004352",
    "base58check": "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
}
ALL = [
    (getattr(module, name), value)
    for module, table in ((europe, EUROPE), (world, WORLD), (checks, GENERAL))
    for name, value in table.items()
]
IDS = [check.__name__ for check, _ in ALL]
BECH32 = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t"
WITHOUT_CHECK_DIGIT = {  # a date, a letter or a range is all that they carry
    *_words("dk_cpr id_nik in_pan mx_rfc my_nric uk_nino us_itin us_mbi us_ssn")
}


def changed(value: str) -> list[str]:
    """``value`` with one digit wrong, in every way."""
    return [
        value[:i] + digit + value[i + 1 :]
        for i, c in enumerate(value)
        if c.isdigit()
        for digit in string.digits
        if digit != c
    ]


@pytest.mark.parametrize(("check", "value"), ALL, ids=IDS)
def test_a_published_number_passes(check: object, value: str) -> None:
    """Issuers' own examples, or numbers made by their rule; nobody's."""
    assert callable(check)
    assert check(value)


@pytest.mark.parametrize(("check", "value"), ALL, ids=IDS)
def test_one_digit_wrong_fails(check: object, value: str) -> None:
    """All of them, but for the few that modulo 11 folds onto one digit."""
    assert callable(check)
    wrong = changed(value)
    assert sum(map(check, wrong)) <= 0.12 * len(wrong)


def test_every_check_of_the_table_is_tried_here() -> None:
    """A validator without an example is a guess."""
    tried = {*EUROPE, *WORLD, *WITHOUT_CHECK_DIGIT}
    assert {*europe.__all__, *world.__all__} == tried
    used = {f.check.__name__ for f in forms.FORMS} - {"card", "<lambda>"}
    assert used <= tried


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (world.us_ssn, "512473391", _words("000473391 666473391 912473391 512003391 512470000")),
        (world.us_itin, "912703391", _words("812703391 912493391 912663391 912893391")),
        (world.us_mbi, "1EG4TE5MK73", _words("0EG4TE5MK73 1SG4TE5MK73")),
        (world.in_pan, "AAPFU0939F", _words("AAPXU0939F")),
        (world.mx_rfc, "GODE561231GR8", _words("GODE561331GR8 GODE560031GR8")),
        (world.my_nric, "900101145678", _words("901301145678 900101005678")),
        (world.id_nik, "3171230112901234", _words("0171230112901234 3171239912901234")),
        (europe.uk_nino, "AB123456C", _words("QQ123456C DA123456C GB123456A AB123456E")),
        (europe.dk_cpr, "0101901234", _words("3201901234 0113901234")),
        (checks.bech32, f"{BECH32}4", [f"{BECH32}5"]),
    ],
)  # fmt: skip
def test_numbers_that_nobody_gets_fail(check: object, good: str, bad: list[str]) -> None:
    """Ranges that issuers leave out, and dates that are none."""
    assert callable(check)
    assert check(good)
    assert [b for b in bad if check(b)] == []


@pytest.mark.parametrize(
    "number",
    _words(
        "4111111111111111 5555555555554444 2223003122003222 378282246310005 6011111111111117 "
        "3530111333300000 30569309025904 6200000000000005"
    ),
)
def test_networks_test_cards_pass_and_a_digit_wrong_fails(number: str) -> None:
    """The test numbers of Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay."""
    assert forms.card(number)
    assert not any(checks.luhn(wrong) for wrong in changed(number))


def test_an_iban_is_as_long_as_its_country_says() -> None:
    """A right remainder over a wrong length is chance."""
    assert checks.iban("DE89370400440532013000")
    assert not checks.iban("DE8937040044053201300")
    assert checks.iban_length("XX") == 0
