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


def _chat(index: int, text: str, entries: list[Any], end: str | None) -> dict[str, Any]:
    delta = {} if end else {"content": text}
    told = {"content": entries, "refusal": None} if entries else None
    choice = {"index": index, "delta": delta, "logprobs": told, "finish_reason": end}
    return {"id": "c", "choices": [choice]}


def _completions(index: int, text: str, entries: list[Any], end: str | None) -> dict[str, Any]:
    names = {"tokens": "token", "token_logprobs": "logprob", "top_logprobs": "top_logprobs"}
    names |= {"bytes": "bytes"} if entries and "bytes" in entries[0] else {}
    told = {column: [e[name] for e in entries] for column, name in names.items()}
    choice = {"index": index, "text": text, "finish_reason": end}
    return {"id": "c", "choices": [{**choice, "logprobs": told if entries else None}]}


def _responses(index: int, text: str, entries: list[Any], end: str | None) -> dict[str, Any]:
    where = {"item_id": f"m{index}", "output_index": index, "content_index": 0}
    if end:
        return {"type": "response.output_text.done", "text": text, "logprobs": [], **where}
    kind = "response.output_text.delta"
    return {"type": kind, "delta": text, "logprobs": entries, **where}


WIRES = {
    "openai.chat": _chat,
    "openai.completions": _completions,
    "openai.responses": _responses,
}
"""One event of a choice, or item: its text and entries, or its end."""


def shown(event: dict[str, Any], index: int) -> tuple[str, list[dict[str, Any]]]:
    """What an event says of the choice, or item, with this index."""
    if "choices" not in event:
        mine = event["output_index"] == index and "delta" in event
        return (event["delta"], event["logprobs"]) if mine else ("", [])
    (choice,) = event["choices"]
    if choice["index"] != index:
        return "", []
    told = choice.get("logprobs") or {}
    if "delta" in choice:
        return choice["delta"].get("content") or "", told.get("content") or []
    names = {"tokens": "token", "token_logprobs": "logprob"}
    rows = zip(*told.values(), strict=True)
    return choice["text"], [
        {names.get(k, k): v for k, v in zip(told, r, strict=True)} for r in rows
    ]


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


@settings(max_examples=300, deadline=None)
@given(wire=st.sampled_from(sorted(WIRES)), text=texts, told=st.booleans(), data=st.data())
def test_a_stream_gives_the_entries_of_the_whole_reply(
    wire: str, text: str, told: bool, data: st.DataObject
) -> None:
    """Two choices at once; text and entries cut into events each for itself, so that an event may
    have tokens whose text is in another. None is lost, and all are in order."""
    scored = tokens(text, data, told=told)
    queues: list[list[dict[str, Any]]] = []
    for index in (0, 1):
        pieces = ["", *cut(text, data, 8)]  # what comes before the first entry has none
        groups = [scored[:1], *cut(scored[1:], data, len(pieces) - 2)]
        groups += [[] for _ in range(len(pieces) - len(groups))]
        queues.append([WIRES[wire](index, *one, None) for one in zip(pieces, groups, strict=True)])
        queues[-1].append(WIRES[wire](index, "", [], "stop"))
    restored = RESTORER.events(wire)
    out: list[Any] = []
    for index in data.draw(st.permutations([i for i in (0, 1) for _ in queues[i]])):
        out += [event for _, event in restored.feed(None, queues[index].pop(0))]
    assert restored.flush() == []
    body = {"choices": [{"message": {"content": text}, "logprobs": {"content": scored}}]}
    whole: Any = RESTORER.tree(body, "openai.chat")
    for index in (0, 1):
        said, got = "", []
        for event in out:
            piece, entries = shown(event, index)
            said += piece
            got += entries
        assert said == RESTORER.text(text)
        hold(text, scored, got)
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
