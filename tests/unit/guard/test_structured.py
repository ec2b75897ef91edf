"""Structured text of every common kind: what a field's name, its column or its place says, is
found, whatever the format that carries it."""

# ruff: noqa: E501 - a record broken in two is two riddles

from __future__ import annotations

import json

import pytest

from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Action, Destination

GUARD = Guard(load_policy(preset="direct"), build(), key=b"k" * 32)
HOSTED = Destination("hosted", "hosted")

FHIR = json.dumps(
    {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:2.16.840.1", "value": "H-4418290"}],
        "name": [{"family": "Okonjo-Reyes", "given": ["Thandeka", "Ilse"]}],
        "telecom": [
            {"system": "phone", "value": "+44 20 7946 0958"},
            {"system": "email", "value": "t.okonjo@posteo.example"},
        ],
        "birthDate": "1961-11-04",
        "address": [{"line": ["14 Tannery Row"], "city": "Salem", "postalCode": "01970"}],
        "contact": [{"name": {"family": "Vandenberghe", "given": ["Joris"]}}],
    }
)
HL7 = (
    "MSH|^~\\&|ADT1|NORTHVALE|LAB|NORTHVALE|202602110830||ADT^A01|MSG00001|P|2.5\r"
    "PID|1||00482913^^^NORTHVALE^MR~512473391^^^USSSA^SS||OKONJO^THANDEKA^I||19611104|F|||"
    "14 TANNERY ROW^^SALEM^MA^01970||(978)555-0143|||S||ACC4418290|512-47-3391\r"
    "NK1|1|VANDENBERGHE^JORIS|SPO|14 TANNERY ROW^^SALEM^MA^01970|(978)555-0188\r"
    "IN1|1|PPO|HX100|EVERCREST MUTUAL||||GRP44182|||20240101||||OKONJO^THANDEKA|SEL|19611104|||||||||||||||||XYP482913004"
)
CSV = (
    "mrn,last_name,first_name,dob,phone,policy_no\n"
    "4418290,Okonjo,Thandeka,1961-11-04,978-555-0143,HX-2201-99\n"
    "4418377,Vandenberghe,Joris,1958-02-19,978-555-0188,HX-2201-41\n"
    "4418415,Lindqvist,Ragnhild,1990-07-30,978-555-0102,HX-2207-17\n"
)
YAML = (
    "customer:\n  id: CU-4418290\n  full_name: Thandeka Okonjo\n  email: t.okonjo@posteo.example\n"
    "  date_of_birth: 1961-11-04\n  iban: DE89370400440532013000\n  password: Tr0ub4dor&3x\n"
)
SQL = (
    "INSERT INTO patients (mrn, last_name, first_name, ssn, phone) VALUES\n"
    "('4418290', 'Okonjo', 'Thandeka', '512-47-3391', '978-555-0143'),\n"
    "('4418377', 'Vandenberghe', 'Joris', '512-47-8820', '978-555-0188');"
)
LOG = (
    '82.165.44.19 - t.okonjo [11/Feb/2026:08:22:10 +0000] "GET /patients/4418290/labs HTTP/1.1" 200\n'
    "2026-02-11T08:22:11Z INFO auth user=tokonjo61 ip=82.165.44.19 action=login session=ok\n"
    'level=warn msg="reset mail sent" email=t.okonjo@posteo.example member_id=XYP482913004\n'
)
XML = (
    "<patient><mrn>4418290</mrn><lastName>Okonjo</lastName><firstName>Thandeka</firstName>"
    "<ssn>512-47-3391</ssn><birthDate>1961-11-04</birthDate></patient>"
)
FORM = "last_name=Okonjo&first_name=Thandeka&ssn=512473391&street=14+Tannery+Row&tel=9785550143"

CASES = {
    "fhir": (FHIR, ["H-4418290", "Okonjo-Reyes", "Thandeka", "Ilse", "+44 20 7946 0958",
                    "t.okonjo@posteo.example", "1961-11-04", "14 Tannery Row", "Vandenberghe", "Joris"]),
    "hl7": (HL7, ["00482913", "512473391", "OKONJO^THANDEKA", "19611104", "14 TANNERY ROW",
                  "(978)555-0143", "512-47-3391", "VANDENBERGHE^JORIS", "ACC4418290", "XYP482913004"]),
    "csv": (CSV, ["4418290", "Okonjo", "Thandeka", "1961-11-04", "978-555-0143", "HX-2201-99",
                  "4418377", "Vandenberghe", "Joris", "4418415", "Lindqvist", "Ragnhild", "HX-2207-17"]),
    "yaml": (YAML, ["CU-4418290", "Thandeka Okonjo", "t.okonjo@posteo.example", "1961-11-04",
                    "DE89370400440532013000", "Tr0ub4dor&3x"]),
    "sql": (SQL, ["4418290", "Okonjo", "Thandeka", "512-47-3391", "978-555-0143", "4418377",
                  "Vandenberghe", "Joris", "512-47-8820"]),
    "log": (LOG, ["82.165.44.19", "t.okonjo", "4418290", "tokonjo61", "t.okonjo@posteo.example",
                  "XYP482913004"]),
    "xml": (XML, ["4418290", "Okonjo", "Thandeka", "512-47-3391", "1961-11-04"]),
    "form": (FORM, ["Okonjo", "Thandeka", "512473391", "14+Tannery+Row", "9785550143"]),
}  # fmt: skip


def covered(text: str) -> bytearray:
    """Marks what is acted on."""
    body = {"messages": [{"role": "user", "content": text}]}
    done = GUARD.inspect(body, to=HOSTED, shape="openai.chat")
    mark = bytearray(len(text))
    for found, action in zip(done.findings, done.verdict.actions, strict=True):
        if action is not Action.ALLOW:
            mark[found.start : found.end] = b"\1" * (found.end - found.start)
    return mark


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("around", ["", "Please check this record:\n{}\nThanks!"])
def test_every_value_of_a_structured_text_is_found(kind: str, around: str) -> None:
    """Alone, and pasted into a message."""
    given, values = CASES[kind]
    text = around.replace("{}", given) if around else given
    mark = covered(text)
    missed = []
    for value in values:
        start = text.index(value)
        letters = [i for i in range(start, start + len(value)) if text[i].isalnum()]
        if sum(mark[i] for i in letters) < len(letters):
            missed.append(value)
    assert missed == []
