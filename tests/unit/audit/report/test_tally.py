"""Counts of records, as the report and whoever checks it make them."""

from __future__ import annotations

import json

import pytest

from sovereign.audit.report import tally
from sovereign.audit.report.framework import LABELS
from sovereign.audit.report.tally import DAY, OVER, Tally

SINCE, UNTIL = "2026-07-01T00:00:00.000Z", "2026-07-02T00:00:00.000Z"
INTENT = {
    "type": "request.intent",
    "team": "cardiology",
    "model": "gpt-5",
    "destination": "openai",
    "side": "hosted",
    "verdict": "mask",
    "rerouted": False,
    "policy": "a" * 64,
    "guard_build": "b" * 64,
    "entities": {"PERSON": {"mask": 2}},
    "tokens": [],
    "token_key": "c" * 16,
}


def encoded(
    record: dict[str, object], seq: int = 0, time: str = "2026-07-01T08:00:00.000Z"
) -> bytes:
    whole = {**record, "source": "gateway-1", "seq": seq, "time": time, "v": 1}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


def counted(*records: bytes) -> Tally:
    made = Tally(SINCE, UNTIL)
    for index, data in enumerate(records):
        made.add(index, data)
    return made


@pytest.mark.parametrize(
    ("changes", "became"),
    [
        ({"verdict": "allow"}, "allowed"),
        ({"verdict": "mask"}, "changed"),
        ({"verdict": "pseudonymize"}, "changed"),
        ({"side": "local", "rerouted": True, "verdict": "allow"}, "kept_local"),
        ({"side": "local", "rerouted": False, "verdict": "mask"}, "local"),
        ({"type": "request.refusal", "code": "unreadable"}, "refused"),
        ({"type": "request.result"}, None),
    ],
)
def test_what_became_of_a_request(changes: dict[str, object], became: str | None) -> None:
    """Sent as it was, sent changed, kept inside, asked inside, refused; a result is no decision."""
    assert tally.outcome({**INTENT, **changes}) == became


def test_findings_are_counted_by_what_became_of_them() -> None:
    """A name beside a record number that keeps the whole request inside was not pseudonymised,
    though the policy says so of names: a report that counted it would claim what was not done."""
    found = {"PERSON": {"pseudonymize": 2}, "MEDICAL_RECORD_NUMBER": {"local": 1}}
    changed = {**INTENT, "entities": {"PERSON": {"pseudonymize": 1}, "AGE": {"allow": 1}}}
    rerouted = {**INTENT, "side": "local", "rerouted": True, "entities": found}
    asked = {**INTENT, "side": "local", "entities": {"AGE": {"allow": 1}}}
    blocked = {
        "type": "request.refusal",
        "code": "refused_by_policy",
        "entities": {"SECRET": {"block": 1}, "PERSON": {"pseudonymize": 1}},
    }
    all_of_them = enumerate((changed, rerouted, asked, blocked))
    made = counted(*(encoded(record, i) for i, record in all_of_them))
    assert made.entities == {
        "PERSON": {"pseudonymize": 1, "local": 2, "block": 1},
        "AGE": {"allow": 1, "local": 1},
        "MEDICAL_RECORD_NUMBER": {"local": 1},
        "SECRET": {"block": 1},
    }


def test_a_record_of_another_time_is_a_stray_and_in_no_count() -> None:
    """Its number still counts: it is not missing."""
    made = counted(
        encoded(INTENT), encoded(INTENT, 1, "2025-01-01T00:00:00.000Z"), encoded(INTENT, 2)
    )
    assert (made.records, made.strays, made.numbers_missing) == (2, 1, 0)


def test_the_end_of_the_period_is_not_in_it() -> None:
    """Two reports over neighbouring days count every record once."""
    made = counted(encoded(INTENT, 0, SINCE), encoded(INTENT, 1, UNTIL))
    assert (made.records, made.strays) == (1, 1)


def test_numbers_that_a_source_jumped_over_are_missing() -> None:
    """Those before the first and after the last cannot be seen here: verify sees them."""
    assert counted(encoded(INTENT, 4), encoded(INTENT, 9)).numbers_missing == 4


def test_silences_are_kept_longest_first() -> None:
    """Only those of three heartbeats or more."""
    times = ("08:00:00", "08:02:00", "09:00:00", "09:30:00")
    made = counted(*(encoded(INTENT, i, f"2026-07-01T{t}.000Z") for i, t in enumerate(times)))
    said = made.as_dict()["silences"]
    assert [s[0] for s in said] == [3480, 1800]
    assert said[0][1:] == ["2026-07-01T08:02:00.000Z", "2026-07-01T09:00:00.000Z"]


def test_names_that_callers_choose_do_not_grow_it_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that nobody serves is refused under the name that was asked for."""
    monkeypatch.setattr(tally, "MOST", 3)
    refused = {"type": "request.refusal", "code": "model_not_found"}
    made = counted(*(encoded({**refused, "model": f"m{i}"}, i) for i in range(9)))
    assert made.models == {f"m{i}": {"refused": 1} for i in range(3)} | {OVER: {"refused": 6}}


def test_what_is_no_record_is_refused() -> None:
    """A log that fails verification may hold anything."""
    for data in (b"{}", b"[]", b"nonsense", encoded(INTENT, 0, "2026-07-01Tsomewhen")):
        with pytest.raises((ValueError, KeyError, TypeError)):
            Tally(SINCE, UNTIL).add(0, data)


def test_every_measure_has_words_and_every_words_a_measure() -> None:
    """A catalogue can name only what is counted."""
    named = {name for names in tally._BY_TYPE.values() for name in names}
    named |= {*tally._BY_CODE.values(), *tally.OUTCOMES}
    named |= {
        "decisions",
        "sent_hosted",
        "inside",
        "refused_before",
        "with_findings",
        "with_tokens",
        "reads",
        "failed",
    }
    assert named == set(LABELS)


def test_counts_are_the_same_json_twice() -> None:
    """Whoever counts again compares dictionaries; buckets are days."""
    made = counted(encoded(INTENT), encoded({"type": "log.heartbeat"}, 1)).as_dict()
    assert json.loads(json.dumps(made)) == made
    assert [len(name) for name in made["over_time"]] == [DAY]
    assert made["spans"]["heartbeats"] == [1, 1, 1]
