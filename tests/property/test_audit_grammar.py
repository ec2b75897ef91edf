"""What the grammar takes, reading field by field takes too, and says the same of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.audit import grammar, record
from sovereign.audit.schema import ENTITIES, SCHEMA, VERBS, Field
from sovereign.errors import RecordRejected

IDS = st.text("AZaz09._:/@-", min_size=1, max_size=8)
COUNTS = st.dictionaries(
    st.sampled_from(["PERSON", "US_SSN", "A", "Z_9"]),
    st.dictionaries(st.sampled_from(VERBS), st.sampled_from([0, 1, 12, 2**53 - 1, 2**53])),
)
SAMPLES: list[Any] = [
    *("a", "A/b:c@d", "", 'a"b', "é", "a" * 64, "0" * 40, "f" * 32, "9" * 16),
    *("2026-11", "2026-01-01T00:00:00Z", "mask", "hosted", "ok", "error", "asked", "pickle"),
    *(0, 1, 99, 200, 599, 600, -1, 10**15 - 1, 10**15, 2**53 - 1, 2**53, 1.5, True, None),
    *([], ["f" * 32], ["f" * 32, "0" * 32], ["a*"], [7]),
    *({}, {"PERSON": {"mask": 2, "allow": 1}, "A": {}}, {"PERSON": {"mask": 0}}, {"word": 3}),
]
VALUES: st.SearchStrategy[Any] = st.sampled_from(SAMPLES) | IDS | COUNTS
PIECES = [b"", b'"', b"0", b" ", b",", b"{}", b"{", b"}", b"-", b'"v":1', b"true"]


def fitting(field: Field) -> st.SearchStrategy[Any]:
    return st.sampled_from([sample for sample in SAMPLES if field.fits(sample)])


def written(fields: dict[str, Any], source: str, seq: int) -> bytes:
    whole = {**fields, "v": 1, "time": "2026-11-26T10:00:00.000Z", "source": source, "seq": seq}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


@st.composite
def fields(draw: st.DrawFn, *, valid: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["request.intent", "request.result", "request.refusal", "log.gap"]))
    made: dict[str, Any] = {"type": kind}
    for name, field in SCHEMA[kind].items():
        if not field.optional or draw(st.booleans()):
            made[name] = draw(fitting(field) if valid or draw(st.booleans()) else VALUES)
    return made


@settings(max_examples=150, deadline=None)
@given(fields(valid=False), IDS, st.sampled_from([0, 1, 10**15, 2**53 - 1, 2**53]), st.data())
def test_it_takes_nothing_that_reading_would_not(
    made: dict[str, Any], source: str, seq: int, data: st.DataObject
) -> None:
    """Values that fit elsewhere, names out of their order, and bytes changed, cut and put in."""
    raw = written(made, source, seq)
    at = data.draw(st.integers(0, len(raw)))
    piece = data.draw(st.sampled_from(PIECES))
    backwards = dict(reversed(json.loads(raw).items()))
    unsorted = json.dumps(backwards, separators=(",", ":")).encode()
    for tried in (raw, raw[:at] + piece + raw[at + data.draw(st.integers(0, 1)) :], unsorted):
        if (seen := grammar.read(tried)) is not None:
            of, number, parsed = record.parse(tried)  # raises if it is no record
            assert seen == (of, number, parsed["type"])


@settings(max_examples=100, deadline=None)
@given(fields(valid=True), IDS, st.integers(0, 10**15 - 1))
def test_it_takes_the_records_of_every_request(made: dict[str, Any], source: str, seq: int) -> None:
    """Otherwise it would make nothing faster. Sixteen digits, and codes below 100, are left out."""
    raw = written(made, source, seq)
    small = all(
        len(word) < 16 for word in raw.decode().replace(":", ",").split(",") if word.isdigit()
    )
    if small and made.get("status", 200) >= 100 and "9007199254740991" not in raw.decode():
        assert grammar.read(raw) == (source, seq, made["type"])


def test_names_of_counts_are_in_order_and_each_stands_once() -> None:
    """The only thing about a record that its expression cannot tell."""
    fields = {"request": "r", "endpoint": "e", "code": "c", "status": 400}
    for names, taken in (("AB", True), ("BA", False), ("AA", False), ("A", True), ("", True)):
        counts = ",".join(f'"{name}":{{"mask":1}}' for name in names)
        made = {**fields, "type": "request.refusal", "entities": {"X": {"block": 1}}}
        raw = written(made, "s", 1).replace(b'"X":{"block":1}', counts.encode())
        assert (grammar.read(raw) is not None) is taken
        try:
            record.parse(raw)
        except RecordRejected:
            assert not taken
        else:
            assert taken


def test_every_type_of_record_has_an_expression() -> None:
    """And no two fields of one are counts, whose order has to be looked at."""
    for kind, of in SCHEMA.items():
        assert sum(field.written == ENTITIES.written for field in of.values()) <= 1
        required = {name: None for name, field in of.items() if not field.optional}
        assert grammar._GRAMMAR[kind.encode()].pattern.count(b'"') >= 2 * len(required)


def test_a_record_does_not_change_after_it_was_found_valid() -> None:
    """Its bytes were made when it was; who changes a copy makes another record."""
    made = record.event("log.gap", of="s", expected=1, found=2)
    for change in (
        lambda: made.__setitem__("found", 3),
        lambda: made.update(found=3),
        lambda: made.pop("found"),
        made.clear,
    ):
        try:
            change()
        except TypeError:
            continue
        raise AssertionError("it changed")
    assert made == {"type": "log.gap", "of": "s", "expected": 1, "found": 2}
    other = record.prepare({**made, "found": 3}, source="s")
    assert b'"found":3' in other
    assert b'"found":2' in record.prepare(made, source="s")
