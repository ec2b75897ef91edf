"""OCSF 1.8 events, validated against the schema that the project publishes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import exports
import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded
from ocsf_json_schema.loader import get_ocsf_schema

from sovereign.audit.export import ocsf
from sovereign.audit.export.records import Entry


@cache
def validator() -> jsonschema.Draft202012Validator:
    """API Activity with our profiles, from the compiled schema in the package."""
    made = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=ocsf.VERSION))
    schema = made.get_class_schema("api_activity", list(ocsf.PROFILES))
    return jsonschema.Draft202012Validator(schema)


def made(entry: Entry) -> dict[str, Any]:
    return ocsf.event(entry, origin="example.org/log", version="0.1.0")


@pytest.mark.parametrize("entry", exports.every(), ids=lambda e: str(e.record["type"]))
def test_each_record_is_a_valid_api_activity(entry: Entry) -> None:
    """Of every type, with all fields and with the fewest: no unknown attribute, none missing."""
    problems = [f"{list(e.path)}: {e.message}" for e in validator().iter_errors(made(entry))]
    assert problems == []


def test_the_schema_is_one_that_can_refuse() -> None:
    """Otherwise the test above says nothing."""
    event = made(exports.entry("request.intent"))
    for change in ({"class_uid": "6003"}, {"severity_id": 17}, {"flavour": "mint"}):
        assert not validator().is_valid(event | change)
    for name in ("time", "actor", "api", "metadata", "src_endpoint", "type_uid"):
        assert not validator().is_valid({k: v for k, v in event.items() if k != name})


def test_an_intent_says_who_asked_what_of_whom_and_what_was_decided() -> None:
    """In the schema's own places, so that a SIEM's rules find it."""
    event = made(exports.entry("request.intent", team="billing", model="gpt-5", verdict="mask"))
    assert (event["class_uid"], event["type_uid"], event["activity_id"]) == (6003, 600399, 99)
    assert event["actor"]["app_name"] == "billing"
    assert event["ai_model"]["name"] == "gpt-5"
    assert (event["action_id"], event["action"]) == (4, "Modified")
    assert event["unmapped"]["entities"] == {"PERSON": {"mask": 2}, "SECRET": {"block": 1}}


@pytest.mark.parametrize("entry", exports.every(), ids=lambda e: str(e.record["type"]))
def test_no_field_is_lost_and_none_is_made_up(entry: Entry) -> None:
    """Each value of the record is somewhere in the event."""
    text = json.dumps(made(entry))
    for name, value in entry.fields.items():
        assert json.dumps(value) in text, name


def test_each_line_is_one_event() -> None:
    """And nothing else is on it."""
    lines = list(ocsf.lines(exports.every(), origin="example.org/log", version="0.1.0"))
    assert len(lines) == len(exports.every())
    assert all(line.count(b"\n") == 1 and json.loads(line) for line in lines)
