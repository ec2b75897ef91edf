"""What each entity is in plain words, for `sovereign check`, reports and documentation.

Names are Presidio's where Presidio has one. An entity that is not here still works: it is shown by
its own name, and the policy's ``"*"`` covers it.
"""

from __future__ import annotations

__all__ = ["DESCRIPTIONS", "UNREADABLE", "describe"]

DESCRIPTIONS: dict[str, str] = {
    "ABA_ROUTING_NUMBER": "US bank routing numbers",
    "ACCOUNT_NUMBER": "account numbers",
    "AGE": "ages",
    "CARD_SECURITY_CODE": "card security codes",
    "CASE_NUMBER": "case and file numbers",
    "CLAIM_NUMBER": "claim numbers",
    "CREDIT_CARD": "card numbers",
    "CRYPTO": "crypto wallet addresses",
    "DATE_OF_BIRTH": "dates of birth",
    "DATE_TIME": "other dates and times",
    "EMAIL_ADDRESS": "e-mail addresses",
    "EMPLOYEE_ID": "employee numbers",
    "GENDER": "sex and gender",
    "IBAN_CODE": "IBANs",
    "IDENTIFIER": "other labelled identifiers",
    "IP_ADDRESS": "IP addresses",
    "LOCATION": "places",
    "MAC_ADDRESS": "MAC addresses",
    "MEDICAL_LICENSE": "medical licence numbers",
    "MEDICAL_RECORD_NUMBER": "medical record numbers",
    "MEMBER_ID": "member numbers",
    "NRP": "nationality, religion, politics",
    "ORGANIZATION": "organisations",
    "PERSON": "names of persons",
    "PHONE_NUMBER": "phone numbers",
    "PIN": "PINs",
    "POLICY_NUMBER": "policy numbers",
    "SECRET": "passwords, keys and tokens",
    "STREET_ADDRESS": "street addresses",
    "URL": "web addresses",
    "USERNAME": "user names",
    "US_BANK_NUMBER": "US bank account numbers",
    "US_DRIVER_LICENSE": "US driving licences",
    "US_EIN": "US employer numbers",
    "US_ITIN": "US taxpayer numbers",
    "US_MBI": "Medicare beneficiary identifiers",
    "US_NPI": "US provider identifiers",
    "US_PASSPORT": "US passport numbers",
    "US_POSTAL_CODE": "US postal codes",
    "US_SSN": "US social security numbers",
    "VEHICLE_ID": "vehicle identification numbers",
}


UNREADABLE = "UNREADABLE"
"""What a decision calls what nobody could look into. No policy names it: it has its own rule."""


def describe(entity: str) -> str:
    """``entity`` in plain words, or its own name."""
    if entity == UNREADABLE:
        return "things that could not be read"
    return DESCRIPTIONS.get(entity, entity)
