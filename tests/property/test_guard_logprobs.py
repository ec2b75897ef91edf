"""Laws of restored log-probabilities, for any text, any tokens, and any cut into events."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard import Restorer

RESTORER = Restorer(
    {"PERSON_K7Q2MX4D": "José Keller", "EMAIL_ADDRESS_AAAA2222": "m@k.de"},
    {"Anna Berg": "王小明", "Renée": "Zoë"},
)
parts = st.sampled_from(
    [
        *("PERSON_K7Q2MX4D", "person\\_k7q2mx4d", "EMAIL_ADDRESS_AAAA2222", "PERSON_K7Q2MX4E"),
        *(
            "Anna Berg",
            "anna\nberg",
            "Anna",
            "Renée",
            "RENÉE's",
            "PERSON",
            "_",
            " ",
            ".",
            "é",
            "王",
        ),
        *("\U0001f600", "x", "e", ""),
    ]
)
texts = st.lists(parts, max_size=10).map("".join)


def cut(whole: Any, data: st.DataObject, most: int) -> list[Any]:
    """``whole`` in pieces, at random places; some may be empty."""
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=most)))
    return [whole[a:b] for a, b in pairwise([0, *places, len(whole)])]


def tokens(text: str, data: st.DataObject, *, told: bool) -> list[dict[str, Any]]:
    """``text`` in tokens, with ``bytes`` or without; with them, a token may be half a character."""
    made = []
    for at, raw in enumerate(cut(text.encode() if told else text, data, 16)):
        entry: dict[str, Any] = {
            "token": raw.decode("utf-8", "replace") if told else raw,
            "logprob": -float(at + 1),
            "top_logprobs": [{"token": "PERSON", "logprob": -1.0, "bytes": None}],
        }
        if told:
            entry["bytes"] = list(raw)
        made.append(entry)
    return made


def spelled(entries: list[dict[str, Any]]) -> str:
    return b"".join(bytes(e["bytes"]) if "bytes" in e else e["token"].encode() for e in entries
                    ).decode()  # fmt: skip


def hold(text: str, given: list[dict[str, Any]], got: list[dict[str, Any]]) -> None:
    """What is true of all restored entries, however they came."""
    assert spelled(got) == RESTORER.text(text)
    assert math.fsum(e["logprob"] for e in got) == math.fsum(e["logprob"] for e in given)
    spans = [(len(text[:a].encode()), len(text[:b].encode())) for a, b, _ in RESTORER.found(text)]
    at = 0
    for entry in given:
        size = len(bytes(entry["bytes"]) if "bytes" in entry else entry["token"].encode())
        if not any(a < at + size and at < b for a, b in spans):
            assert entry in got
        at += size


@settings(max_examples=200, deadline=None)
@given(text=texts, told=st.booleans(), data=st.data())
def test_the_tokens_of_a_whole_reply_spell_its_restored_text(
    text: str, told: bool, data: st.DataObject
) -> None:
    """No log-probability is lost, and what has no part of a surrogate is as it came."""
    scored = tokens(text, data, told=told)
    message = {"content": text, "refusal": None}
    body = {"choices": [{"message": message, "logprobs": {"content": scored}}]}
    before = copy.deepcopy(body)
    restored: Any = RESTORER.tree(body, "openai.chat")
    assert body == before
    hold(text, scored, restored["choices"][0]["logprobs"]["content"])


@settings(max_examples=200, deadline=None)
@given(text=texts, told=st.booleans(), data=st.data())
def test_a_stream_gives_the_entries_of_the_whole_reply(
    text: str, told: bool, data: st.DataObject
) -> None:
    """Text and entries cut into events each for itself: an event may have tokens whose text is in
    another. None goes out before its text, none is lost, and all are in order."""
    scored = tokens(text, data, told=told)
    pieces = ["", *cut(text, data, 8)]  # what comes before the first entry has none
    groups = [scored[:1], *cut(scored[1:], data, len(pieces) - 2)]
    groups += [[] for _ in range(len(pieces) - len(groups))]
    restored = RESTORER.events("openai.chat")
    out: list[Any] = []
    for piece, group in zip(pieces, groups, strict=True):
        told_now = {"content": group, "refusal": None} if group else None
        choice = {"index": 0, "delta": {"content": piece}, "logprobs": told_now}
        out += [e["choices"][0] for _, e in restored.feed(None, {"choices": [choice]})]  # type: ignore[index,call-overload]
    end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    out += [e["choices"][0] for _, e in restored.feed(None, {"choices": [end]})]  # type: ignore[index,call-overload]
    assert restored.flush() == []
    said, got = "", []
    for choice in out:
        said += choice["delta"].get("content") or ""
        got += (choice.get("logprobs") or {}).get("content") or []
        assert (
            len(b"".join(bytes(e.get("bytes") or e["token"].encode()) for e in got))
            <= (len(said.encode()))
            or choice is out[-1]
        )
    assert said == RESTORER.text(text)
    hold(text, scored, got)
    body = {"choices": [{"message": {"content": text}, "logprobs": {"content": scored}}]}
    whole: Any = RESTORER.tree(body, "openai.chat")
    assert got == whole["choices"][0]["logprobs"]["content"]


@settings(max_examples=150, deadline=None)
@given(text=texts, other=texts, data=st.data())
def test_entries_of_another_text_are_never_lost_or_turned(
    text: str, other: str, data: st.DataObject
) -> None:
    """Tokens that are not the text: streamed as whole; up to where they differ they are restored,
    and from there on they are as they came."""
    scored = tokens(other, data, told=True)
    body = {"choices": [{"message": {"content": text}, "logprobs": {"content": scored}}]}
    whole: Any = RESTORER.tree(body, "openai.chat")
    got = whole["choices"][0]["logprobs"]["content"]
    assert math.fsum(e["logprob"] for e in got) == math.fsum(e["logprob"] for e in scored)
    restored = RESTORER.stream()
    followed = restored.scored()
    streamed: list[Any] = []
    for piece in cut(text, data, 8):
        restored.feed(piece)
        streamed += followed.take()
    followed.add(scored)
    restored.flush()
    assert [*streamed, *followed.rest()] == got
