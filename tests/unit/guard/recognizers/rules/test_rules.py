"""What the rules see in a sentence, and what they must not."""

from __future__ import annotations

import time

import pytest

from sovereign.guard.recognizers.rules import RulesRecognizer

RULES = RulesRecognizer()

ALONE = {
    "card 4111 1111 1111 1111 09/27": ("CREDIT_CARD", "4111 1111 1111 1111"),
    "paid with 5555-5555-5555-4444.": ("CREDIT_CARD", "5555-5555-5555-4444"),
    "amex 3782 822463 10005": ("CREDIT_CARD", "3782 822463 10005"),
    "IBAN DE89 3704 0044 0532 0130 00 bis": ("IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
    "GB29NWBK60161331926819": ("IBAN_CODE", "GB29NWBK60161331926819"),
    "his SSN is 512-47-3391": ("US_SSN", "512-47-3391"),
    "NI QQ, then AB 12 34 56 C": ("UK_NINO", "AB 12 34 56 C"),
    "CF RSSMRA85T10A562S": ("IT_FISCAL_CODE", "RSSMRA85T10A562S"),
    "DNI 12345678Z": ("ES_NIF", "12345678Z"),
    "2 55 08 14 168 025 38 (France)": ("FR_NIR", "2 55 08 14 168 025 38"),
    "CPF 111.444.777-35": ("BR_CPF", "111.444.777-35"),
    "AHV 756.9217.0769.85": ("CH_AHV", "756.9217.0769.85"),
    "85.07.30-033.28 te Gent": ("BE_RRN", "85.07.30-033.28"),
    "131052-308T": ("FI_PERSONAL_IDENTITY_CODE", "131052-308T"),
    "NHS number 943 476 5919": ("UK_NHS", "943 476 5919"),
    "PESEL: 44051401359": ("PL_PESEL", "44051401359"),
    "Steuer-ID 86095742719": ("DE_TAX_ID", "86095742719"),
    "Aadhaar 2341 2341 2346": ("IN_AADHAAR", "2341 2341 2346"),
    "T.C. kimlik 10000000146": ("TR_NATIONAL_ID", "10000000146"),
    "routing 021000021": ("ABA_ROUTING_NUMBER", "021000021"),
    "NPI 1234567893": ("US_NPI", "1234567893"),
    "DEA AB1234563": ("MEDICAL_LICENSE", "AB1234563"),
    "MBI 1EG4-TE5-MK73": ("US_MBI", "1EG4-TE5-MK73"),
    "call +14155550148 now": ("PHONE_NUMBER", "+14155550148"),
    "Tel. 030 1234567": ("PHONE_NUMBER", "030 1234567"),
    "(212) 555-0143": ("PHONE_NUMBER", "(212) 555-0143"),
    "llame al 604 852 766": ("PHONE_NUMBER", "604 852 766"),
    "from 203.0.113.9 today": ("IP_ADDRESS", "203.0.113.9"),
    "from 10.0.0.46 today": ("IP_ADDRESS", "10.0.0.46"),
    "at 10.0.0.1, port 22": ("IP_ADDRESS", "10.0.0.1"),
    "dns 8.8.4.4": ("IP_ADDRESS", "8.8.4.4"),
    "host 2001:db8::8a2e:370:7334": ("IP_ADDRESS", "2001:db8::8a2e:370:7334"),
    "mac 00:1a:2b:3c:4d:5e": ("MAC_ADDRESS", "00:1a:2b:3c:4d:5e"),
    "born 12 March 1984": ("DATE_TIME", "12 March 1984"),
    "on March 3, 2021": ("DATE_TIME", "March 3, 2021"),
    "el 4 de junio de 1987": ("DATE_TIME", "4 de junio de 1987"),
    "am 2021-03-04": ("DATE_TIME", "2021-03-04"),
    "a 71-year-old man": ("AGE", "71-year-old"),
    "Boston, MA 02139": ("US_POSTAL_CODE", "02139"),
    "wallet bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4": (
        "CRYPTO",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ),
    "see https://facebook.com/maria.keller.263": (
        "USERNAME",
        "https://facebook.com/maria.keller.263",
    ),
    "we moved to the corner of Csabai kapu 39. and Mathias Pass": (
        "STREET_ADDRESS",
        "the corner of Csabai kapu 39. and Mathias Pass",
    ),
    "an der Ecke Lindenstraße und Marktplatz": (
        "STREET_ADDRESS",
        "Ecke Lindenstraße und Marktplatz",
    ),
    "4417 Harbour\nSuite 380\nLisbon": ("STREET_ADDRESS", "Suite 380"),
    "at https://northvale.org/x": ("URL", "https://northvale.org/x"),
    "Kurt Zimmermann, *12.01.1944, Kiel": ("DATE_OF_BIRTH", "12.01.1944"),
    "Meier, Fritz (* 04.07.1939)": ("DATE_OF_BIRTH", "04.07.1939"),
    "Il habite rue de la Gare à Dole.": ("STREET_ADDRESS", "rue de la Gare"),
    "demeurant avenue Jean Jaurès, Lyon": ("STREET_ADDRESS", "avenue Jean Jaurès"),
    "Sie wohnt in der Kastanienallee neben dem Bäcker": ("STREET_ADDRESS", "Kastanienallee"),
    "It is due on 4 June. Call me.": ("DATE_TIME", "4 June"),
    "ab 1. Dezember. Danke": ("DATE_TIME", "1. Dezember"),
    "by 4 Sept. at noon": ("DATE_TIME", "4 Sept."),
}
NO_BIRTH = (
    "Termine:\n* 12.01.2026 Sitzung\n* 14.01.2026 Abnahme",
    "Abgabe ist am *12.01.2026*, nicht später",
    "am **12.01.2026** ist",
)
DATES = frozenset({"DATE_TIME", "AGE", "URL"})
QUIET = (
    "at the intersection of Law and Medicine",
    "the corner of the table and the wall",
    "chapter list\nSuite 3\n",
    "build 9434765919 of 86095742719 bytes",
    "invoice 44051401359 and order 1234567893",
    "upgrade to version 10.4.12.7 build 20260211",
    "bootloader 3.207.158.1 is unaffected",
    "allow 10.0.0.0/8; deny 127.0.0.1",
    "lab values 135-145, 3.5-5.1 and 0.4-4.0 mIU/L",
    "NDC 08678-6425-94, ISBN 978-3-16-148410-0",
    "SMTP_FROM=noreply@example.com or user@example.org",
    "4111 1111 1111 1112 is no card",
    "part 7078-72-555 of the SSN test",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "timestamp 1700000000000 and 1612345678901",
    "pi is 3.14159265358979 and 2048, 4096, 8192",
    "page 12 of 340, chapter 4.2.1.1",
    "see github.com/about and x.com/settings",
    "Auftrag 900123, Menge 3",
)


def seen(text: str) -> set[tuple[str, str]]:
    return {(f.entity, text[f.start : f.end]) for f in RULES.recognize(text)}


@pytest.mark.parametrize("text", ALONE)
def test_form_and_check_make_an_identifier(text: str) -> None:
    """In the written forms of many countries."""
    assert ALONE[text] in seen(text)


@pytest.mark.parametrize("text", QUIET)
def test_other_numbers_are_none(text: str) -> None:
    """A bare number that happens to pass a checksum is a number: one in ten does."""
    assert {e for e, _ in seen(text)} <= DATES


@pytest.mark.parametrize("unit", ["1 ", "1-", "12.", "A1", "+1", "12 May ", "0x", "::", "1:2:"])
def test_one_pass_is_linear(unit: str) -> None:
    """Four times the text, and no more than about four times the time."""
    text = unit * (40_000 // len(unit))
    RULES.recognize(text)

    def seconds(t: str) -> float:
        start = time.process_time()
        RULES.recognize(t)
        return time.process_time() - start

    small, large = min(seconds(text[:10_000]) for _ in range(3)), seconds(text)
    assert large < 0.2 + 8 * small
    assert large < 3


@pytest.mark.parametrize("text", NO_BIRTH)
def test_a_star_of_a_list_or_around_words_is_no_birth(text: str) -> None:
    """The sign of birth stands before a date, in the line of the person's name."""
    assert {e for e, _ in seen(text)} == {"DATE_TIME"}
