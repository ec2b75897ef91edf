"""Stand-ins of numbers keep their form, pass their check digits, and belong to nobody."""

from __future__ import annotations

import ipaddress
import re

import pytest

from sovereign.guard.recognizers.rules import checks
from sovereign.guard.standins import Chance, maker, numbers

CHANCES = [Chance(b"k" * 32, attempt, str) for attempt in range(40)]


def shape(value: str) -> str:
    """Digits as 9, letters as A or a, signs as they are."""
    return re.sub("[a-z]", "a", re.sub("[A-Z]", "A", re.sub(r"\d", "9", value)))


@pytest.mark.parametrize(
    ("entity", "value"),
    [
        ("MEDICAL_RECORD_NUMBER", "A-448201/7x"),
        ("CREDIT_CARD", "4111-1111-1111-1111"),
        ("CREDIT_CARD", "378282246310005"),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("US_SSN", "512-47-3391"),
        ("PHONE_NUMBER", "+1 (212) 867-5309"),
        ("PHONE_NUMBER", "07700 900461"),
        ("PHONE_NUMBER", "+49 30 901820-44"),
        ("MAC_ADDRESS", "A4:83:E7:12:9B:0C"),
    ],
)
def test_a_stand_in_has_the_form_of_its_value(entity: str, value: str) -> None:
    """A parser downstream must not choke, and a model must see what kind of thing it is."""
    make = maker(entity)
    assert make is not None
    made = {make(value, chance) for chance in CHANCES}
    assert len(made) > 30
    for one in made:
        assert one is not None
        assert one != value
        if entity != "MAC_ADDRESS":
            assert shape(one) == shape(value)


def test_check_digits_are_right_and_ranges_nobodys() -> None:
    """A random number with a right check digit could be somebody's: these cannot."""
    for chance in CHANCES:
        card = numbers.card("4111 1111 1111 1111", chance)
        assert card is not None
        assert checks.luhn(re.sub(" ", "", card))
        assert card.startswith("9999 99")
        iban = numbers.iban("GB82 WEST 1234 5698 7654 32", chance)
        assert iban is not None
        assert checks.iban(re.sub(" ", "", iban))
        ssn = numbers.ssn("512-47-3391", chance)
        assert re.fullmatch(r"9\d\d-[0-4]\d-\d{4}", ssn or "")
        phone = numbers.phone("(212) 867-5309", chance)
        assert re.fullmatch(r"\([2-9]\d\d\) 555-01\d\d", phone or "")
        assert ipaddress.ip_address(numbers.ip("10.1.2.3", chance) or "").is_private
        assert ipaddress.ip_address(numbers.ip("fe80::1", chance) or "") in ipaddress.ip_network(
            "2001:db8::/32"
        )
        mac = numbers.mac("a4-83-e7-12-9b-0c", chance)
        assert re.fullmatch("02(-[0-9a-f]{2}){5}", mac or "")


@pytest.mark.parametrize("value", ["4471", "77-12", "ABCDEFGH", "１２３４５６７８", "PIN 12"])
def test_what_a_reply_could_hold_by_chance_keeps_its_tag(value: str) -> None:
    """A four-digit stand-in would be restored in every reply that speaks of the year 2048."""
    assert numbers.identifier(value, CHANCES[0]) is None


@pytest.mark.parametrize("entity", ["DATE_OF_BIRTH", "DATE_TIME", "AGE", "SECRET", "PIN"])
def test_kinds_that_would_be_taken_for_facts_keep_their_tag(entity: str) -> None:
    """An invented date of birth is an error that nobody sees."""
    assert maker(entity) is None


def test_the_key_decides_and_the_same_key_decides_the_same() -> None:
    """Across processes and turns; another key gives another stand-in."""
    value = "A-448201-77"
    once, again = (numbers.identifier(value, Chance(b"k" * 32, 0, str)) for _ in range(2))
    assert once == again
    assert once != numbers.identifier(value, Chance(b"j" * 32, 0, str))
