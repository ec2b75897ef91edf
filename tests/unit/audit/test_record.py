"""Records: what they hold, and that they cannot hold anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.audit import record
from sovereign.audit.schema import SCHEMA
from sovereign.errors import RecordRejected
from sovereign.types import Action, Destination, Verdict

HOSTED = Destination("openai", "hosted")
VERDICT = Verdict(
    Action.PSEUDONYMIZE,
    HOSTED,
    "a" * 64,
    (),
    {"PERSON": {"pseudonymize": 2}, "US_SSN": {"mask": 1}},
)


def intent(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "request": "req_1",
        "team": "oncology",
        "key_id": "k_1",
        "endpoint": "openai.chat",
        "model": "gpt-5",
        "destination": HOSTED,
        "verdict": VERDICT,
        "guard_build": "b" * 64,
        "body_sha256": "c" * 64,
        "bytes_out": 33,
        "stream": True,
    }
    return record.intent(**(fields | changes))  # type: ignore[arg-type]


def test_an_intent_says_what_leaves_whither_and_under_which_rule() -> None:
    """The regulator's question (what left, by whom, under which rule) is answered by one record."""
    assert intent() == {
        "type": "request.intent",
        "request": "req_1",
        "team": "oncology",
        "key_id": "k_1",
        "endpoint": "openai.chat",
        "model": "gpt-5",
        "destination": "openai",
        "side": "hosted",
        "verdict": "pseudonymize",
        "policy": "a" * 64,
        "entities": {"PERSON": {"pseudonymize": 2}, "US_SSN": {"mask": 1}},
        "guard_build": "b" * 64,
        "body_sha256": "c" * 64,
        "bytes_out": 33,
        "stream": True,
        "rerouted": False,
    }


def test_a_refusal_leaves_out_what_nobody_knows() -> None:
    """A request without a key has no team: the field is absent, never an empty word."""
    refused = record.refusal(
        request="r", team=None, key_id=None, endpoint="openai.chat", model=None,
        code="invalid_api_key", status=401,
    )  # fmt: skip
    assert refused == {
        "type": "request.refusal",
        "request": "r",
        "endpoint": "openai.chat",
        "code": "invalid_api_key",
        "status": 401,
    }


def test_encoding_adds_the_envelope_and_sorts_the_keys() -> None:
    """The bytes are fixed by the specification: this is the vector that other writers must hit."""
    data = record.encode(
        record.result(request="r", status=200, outcome="ok", bytes_in=3, duration_ms=1),
        time=1.5,
        source="gateway-1",
        seq=7,
    )
    assert data == (
        b'{"bytes_in":3,"duration_ms":1,"outcome":"ok","request":"r","seq":7,"source":"gateway-1",'
        b'"status":200,"time":"1970-01-01T00:00:01.500Z","type":"request.result","v":1}'
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("team", "Dr Grace Hopper"),
        ("team", ""),
        ("team", "a" * 129),
        ("team", "x\n"),
        ("model", "gpt-5\u200b"),
        ("request", None),
        ("guard_build", "B" * 64),
        ("body_sha256", "c" * 63),
        ("bytes_out", -1),
        ("bytes_out", 2**53),
        ("bytes_out", True),
        ("bytes_out", 1.0),
        ("stream", 1),
    ],
)
def test_a_value_outside_its_closed_set_is_refused_and_not_repeated(
    field: str, value: object
) -> None:
    """The error names the field. It goes to a terminal or a client, so it never holds the value."""
    with pytest.raises(RecordRejected) as caught:
        intent(**{field: value})
    assert field in str(caught.value)
    if isinstance(value, str) and value:
        assert value not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "entities",
    [
        {"Grace Hopper": {"mask": 1}},
        {"PERSON": {"Grace": 1}},
        {"PERSON": {"mask": 0}},
        {"PERSON": {"mask": "x"}},
        {"PERSON": ["Grace"]},
        {"PERSON": {"mask": True}},
        {1: {"mask": 1}},
        "PERSON",
    ],
)
def test_entity_counts_hold_names_verbs_and_numbers_only(entities: object) -> None:
    """A nested field is as closed as the others."""
    broken = Verdict(Action.MASK, HOSTED, "a" * 64)
    object.__setattr__(broken, "entities", entities)
    with pytest.raises((RecordRejected, AttributeError, TypeError, ValueError)):
        intent(verdict=broken)
    with pytest.raises(RecordRejected) as caught:
        record.prepare({**intent(), "entities": entities}, source="s")
    assert "Grace" not in str(caught.value)


def test_an_unknown_field_is_refused_without_repeating_a_name_that_is_text() -> None:
    """A field's name comes from the caller too: "patient Grace" as a name must not be echoed."""
    with pytest.raises(RecordRejected, match="unknown field: prompt"):
        record.event("log.close", prompt="hello")
    with pytest.raises(RecordRejected) as caught:
        record.event("log.close", **{"patient Grace": 1})
    assert "Grace" not in str(caught.value)


def test_an_unknown_type_is_refused() -> None:
    """Types are a closed set too."""
    for kind in ("request.text", "", None, 3, ["request.intent"]):
        with pytest.raises(RecordRejected, match="type"):
            record.validate({"type": kind})


@pytest.mark.parametrize("name", ["v", "time", "source", "seq"])
def test_a_caller_cannot_set_the_envelope(name: str) -> None:
    """Time, source and number are the log's to give: nobody backdates a record."""
    with pytest.raises(RecordRejected):
        record.event("log.close", **{name: 1})
    assert all(name not in fields for fields in SCHEMA.values())


def test_a_missing_field_is_named() -> None:
    """An incomplete record would be an unanswerable one."""
    with pytest.raises(RecordRejected, match="field request is missing"):
        record.validate({"type": "request.result", "status": 200})


def test_a_record_over_64_kib_is_refused() -> None:
    """C2SP tiles give an entry's length 16 bits; a log that holds more could not be published."""
    many = {f"E{i}": {"mask": 1} for i in range(5_000)}
    whole = {**intent(), "entities": many}
    record.validate(whole)
    with pytest.raises(RecordRejected, match="larger"):
        record.prepare(whole, source="s")


def test_stamping_touches_only_the_envelope() -> None:
    """A value that looks like the placeholder's key must not be what is replaced."""
    tricky = record.event("key.create", key_id="seq", team="time", models=["v", "0"])
    data = record.encode(tricky, time=0, source="s", seq=2**53 - 1)
    assert json.loads(data) == tricky | {
        "v": 1, "seq": 2**53 - 1, "source": "s", "time": "1970-01-01T00:00:00.000Z",
    }  # fmt: skip


@given(st.integers(0, 4_000_000_000_000))
def test_a_moment_is_written_to_the_millisecond(milliseconds: int) -> None:
    """Binary fractions are a little less than what they stand for; the log's times are not."""
    whole = datetime.fromtimestamp(milliseconds // 1000, UTC)
    expected = whole.replace(microsecond=milliseconds % 1000 * 1000)
    said = record.stamp_time(milliseconds / 1000).decode()
    assert datetime.fromisoformat(said) == expected
