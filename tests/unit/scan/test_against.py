"""A call is the gateway's by its id, its body, or its place and time; each request answers once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from sovereign.audit import record
from sovereign.scan.against import SKEW, Against, Span, Verdict
from sovereign.scan.record import Call, Direction, Field, Record
from sovereign.types import Action, Destination
from sovereign.types import Verdict as Decided

OPENAI = Destination("main", "hosted")
SPAN = Span(1_000.0, 9_000.0)
BODY = b'{"model":"gpt-4o","messages":[]}'


@pytest.fixture
def against() -> Iterator[Against]:
    made = Against({"main": frozenset({"api.openai.com", "openai"})})
    yield made
    made.close()


def _id(n: int) -> str:
    return f"req_{n:028x}"


def _intent(to: Against, n: int, time: float, *, took: float | None = 1.0, tries: int = 1) -> None:
    """Request ``n``, that was begun at ``time`` and took so long; None: its end is not known."""
    intent = record.intent(
        request=_id(n),
        team="t",
        key_id="k",
        endpoint="openai.chat",
        model="gpt-4o",
        destination=OPENAI,
        verdict=Decided(Action.ALLOW, OPENAI, "a" * 64, (), {}),
        guard_build="b" * 64,
        body_sha256=hashlib.sha256(BODY + bytes([n])).hexdigest(),
        bytes_out=1,
        stream=False,
    )
    to.record(record.encode(intent, time=time, source="s", seq=0))
    if took is not None:
        end = record.result(
            request=_id(n), status=200, outcome="ok", bytes_in=1, duration_ms=1, tries=tries
        )
        to.record(record.encode(end, time=time + took, source="s", seq=1))


def _call(
    to: Against,
    time: float | None,
    *,
    text: str = "hello",
    model: str = "gpt-4o",
    host: str = "api.openai.com",
    body: str = "",
) -> None:
    call = Call("openai", host, model, "/v1/chat/completions", body_sha256=body)
    fields = (Field("messages[0].content", text, Direction.SENT),)
    to.call("proxy.log", Record(1, "line", fields, 1, "", call, time))


def _reasons(of: Against) -> list[str]:
    return [str(one["reason"]) for one in of.around()]


def test_an_id_answers_for_as_many_calls_as_it_made(against: Against) -> None:
    """Two tries, three calls that carry the id: the third is somebody else's."""
    _intent(against, 1, 2_000.0, tries=2)
    for _ in range(3):
        _call(against, 5_000.0, text=f"x-request-id: {_id(1)}")
    found = against.judge(SPAN)
    assert (found.by_request, found.around, found.unseen) == (2, 1, 0)
    assert _reasons(against) == ["it carries the id of a request that another call has already"]


def test_a_body_that_is_byte_by_byte_the_same_answers(against: Against) -> None:
    """Whatever the clock of the proxy says."""
    _intent(against, 7, 2_000.0)
    _call(against, None, body=hashlib.sha256(BODY + bytes([7])).hexdigest())
    assert against.judge(SPAN).by_body == 1


def test_a_refused_request_that_left_all_the_same_is_told(against: Against) -> None:
    """Its id was refused at the door, and a proxy saw it go."""
    refused = record.refusal(
        request=_id(3), team="t", key_id="k", endpoint="e", model=None, code="x", status=403
    )
    against.record(record.encode(refused, time=2_000.0, source="s", seq=0))
    _intent(against, 4, 2_000.0)
    _call(against, 2_000.0, text=_id(3))
    assert against.judge(SPAN).around == 1
    assert _reasons(against) == ["it carries the id of a request that the gateway refused"]


def test_by_time_each_request_answers_once(against: Against) -> None:
    """Two requests under way, three calls: one of the three went around, and none is matched to a
    request of another model, place or time."""
    _intent(against, 1, 2_000.0, took=40.0)
    _intent(against, 2, 2_030.0, took=1.0)
    _call(against, 2_031.0)
    _call(against, 2_039.0, model="")
    _call(against, 2_038.0, model="gpt-4o-2024-08-06")
    _call(against, 2_010.0, model="gpt-5")
    _call(against, 2_010.0, host="api.anthropic.com")
    _call(against, 2_041.0 + SKEW)
    found = against.judge(SPAN)
    assert found == Verdict(6, 0, 0, 2, 4, 0, 0, 0)


def test_the_request_that_ends_first_is_taken_first() -> None:
    """So that as many calls as can be are explained: the long one is left for the late call."""
    against = Against({"main": frozenset({"api.openai.com"})})
    _intent(against, 1, 2_000.0, took=100.0)
    _intent(against, 2, 2_001.0, took=2.0)
    _call(against, 2_002.0)
    _call(against, 2_090.0)
    assert against.judge(SPAN).by_time == 2
    against.close()


def test_where_the_log_says_nothing_nothing_is_said(against: Against) -> None:
    """No time, after the last signed record or so little before it that the clocks could be wrong,
    or in a log that was deleted: not judged. Before the log begins there was no door to go through.
    """
    for time in (None, 9_500.0, 8_999.0, 5_000.0, 500.0):
        _call(against, time)
    found = against.judge(Span(1_000.0, 9_000.0, ((4_000.0, 6_000.0),)))
    assert (found.around, found.unjudged) == (1, 4)
    assert [one["judged"] for one in against.around()] == [False, False, False, False, True]


def test_what_stayed_inside_and_what_sums_up_calls_are_none(against: Against) -> None:
    """A call to a host of the house left nothing; a row of usage is counted, not judged."""
    against.call("f", Record(1, "line", (), 1, "", Call("local", "llm.internal"), 2_000.0))
    against.call("f", Record(2, "row", (Field("tokens", "12345"),), 1, "", Call("openai"), 2_000.0))
    answer = (Field("choices", "a", Direction.RECEIVED),)
    against.call("f", Record(3, "line", answer, 1, "", Call("openai"), 2_000.0))
    assert against.judge(SPAN) == Verdict(0, 0, 0, 0, 0, 0, 1, 0)
