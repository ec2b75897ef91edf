"""Laws of the guard: what was taken out comes back exactly, however the reply is cut in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard import Guard, Restorer
from sovereign.guard.surrogates import Surrogates
from sovereign.policy import load_policy
from sovereign.types import Destination, Finding

HOSTED = Destination("openai", "hosted")


class Marked:
    """Finds whatever stands between ‹ and ›."""

    name = "marked"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        return [
            Finding((), m.start(), m.end(), "PERSON", 0.9, self.name)
            for m in re.finditer(r"‹[^‹›]+›", text)
        ]


GUARD = Guard(load_policy(preset="direct"), [Marked()], key=b"k" * 32)
plain = st.text(
    st.characters(codec="utf-8", exclude_characters="‹›\x00", exclude_categories=("Cs", "Co")),
    max_size=12,
)
names = st.sampled_from(
    ["Maria Keller", 'O"Brien\\', "王小明", "a\nb", "MARIA KELLER", "Ünal", "P"]
)
texts = st.lists(st.one_of(plain, names.map(lambda n: f"‹{n}›")), min_size=1, max_size=8).map(
    "".join
)
tempting = st.sampled_from(["PERSON_", "person_K7", "P", "_", "\\_", "PERSON_AAAAAAAA", "", "PE"])


def cuts(text: str, data: st.DataObject) -> list[str]:
    """``text`` in pieces, at random places."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    bounds = [0, *places, len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


def inspected(text: str) -> tuple[str, Restorer]:
    body = {"messages": [{"role": "user", "content": text}]}
    done = GUARD.inspect(body, to=HOSTED, shape="openai.chat")
    done.check_residual(raw=done.encode())
    return done.body["messages"][0]["content"], done.restorer


@settings(max_examples=150, deadline=None)
@given(text=texts, data=st.data())
def test_restoring_undoes_the_transform_for_any_chunking(text: str, data: st.DataObject) -> None:
    """restore(transform(x)) = x, whole and in pieces: the caller sees what they wrote."""
    sent, restorer = inspected(text)
    assert restorer.text(sent) == text
    stream = restorer.stream()
    assert "".join([*map(stream.feed, cuts(sent, data)), stream.flush()]) == text


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(st.one_of(plain, tempting, st.just("@")), max_size=10),
    value=names,
    data=st.data(),
)
def test_a_stream_restores_as_the_whole_text_does(
    parts: list[str], value: str, data: st.DataObject
) -> None:
    """Also where the reply is full of beginnings of surrogates, changed case and escapes."""
    surrogates = Surrogates(b"k" * 32, "t", parts)
    made = surrogates.of("PERSON", value)
    forms = [made, made.lower(), made.title(), made.replace("_", "\\_"), f"**{made}**'s"]
    text = "".join(data.draw(st.sampled_from(forms)) if p == "@" else p for p in parts)
    restorer = Restorer(surrogates.issued)
    stream = restorer.stream()
    assert "".join([*map(stream.feed, cuts(text, data)), stream.flush()]) == restorer.text(text)
    assert made not in restorer.text(text) or made in value


@settings(max_examples=80, deadline=None)
@given(value=st.dictionaries(plain, names.map(lambda n: f"‹{n}›"), max_size=4), data=st.data())
def test_tool_call_arguments_come_back_as_the_same_json(
    value: dict[str, str], data: st.DataObject
) -> None:
    """Values are escaped for the inside of a JSON string, in pieces as well."""
    arguments = json.dumps(value)
    call = {"function": {"name": "f", "arguments": arguments}}
    body = {"messages": [{"role": "assistant", "tool_calls": [call]}]}
    done = GUARD.inspect(body, to=HOSTED, shape="openai.chat")
    sent = done.body["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(done.restorer.json_fragment(sent)) == value
    stream = done.restorer.stream(fragment=True)
    shown = "".join([*map(stream.feed, cuts(sent, data)), stream.flush()])
    assert json.loads(shown) == value


@settings(max_examples=80, deadline=None)
@given(first=texts, second=texts, arguments=names, data=st.data())
def test_openai_event_streams_come_back_whole(
    first: str, second: str, arguments: str, data: st.DataObject
) -> None:
    """Two choices and a tool call, interleaved, cut anywhere, each restored for itself."""
    sent, restorer = inspected(first + second + f"‹{arguments}›")
    tag = next((s for s, v in _issued(restorer).items() if v == f"‹{arguments}›"), "")
    events: list[dict[str, Any]] = []
    for index, text in enumerate((sent, sent)):
        events += [_chunk(index, {"content": piece}) for piece in cuts(text, data)]
    for piece in cuts(json.dumps({"who": tag}), data):
        call = {"index": 0, "function": {"arguments": piece}}
        events.append(_chunk(0, {"tool_calls": [call]}))
    # Interleaved, each choice in its own order.
    order = data.draw(st.permutations([e["choices"][0]["index"] for e in events]))
    queues = {i: [e for e in events if e["choices"][0]["index"] == i] for i in (0, 1)}
    events = [queues[i].pop(0) for i in order]
    events += [_chunk(i, {}, "stop") for i in (0, 1)]
    restorer_events = restorer.events("openai.chat")
    out = [e for event in events for _, e in restorer_events.feed(None, event)]
    ends = [i for i, e in enumerate(out) if e["choices"][0]["finish_reason"]]
    assert restorer_events.flush() == []
    for index in (0, 1):
        shown = "".join(
            c["delta"].get("content") or ""
            for e in out
            for c in e["choices"]
            if c["index"] == index
        )
        assert shown == first + second + f"‹{arguments}›"
    calls = "".join(
        call["function"]["arguments"]
        for e in out
        for c in e["choices"]
        for call in c["delta"].get("tool_calls") or ()
    )
    assert json.loads(calls) == {"who": f"‹{arguments}›"}
    assert len(ends) == 2
    assert ends[-1] == len(out) - 1


@settings(max_examples=80, deadline=None)
@given(text=texts, data=st.data())
def test_anthropic_event_streams_come_back_whole(text: str, data: st.DataObject) -> None:
    """Held text goes out before the block stops."""
    sent, restorer = inspected(text)
    events: list[tuple[str, dict[str, Any]]] = [
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {}})
    ]
    for piece in cuts(sent, data):
        delta = {"type": "text_delta", "text": piece}
        events.append(("content_block_delta", _block(delta)))
    events += [("ping", {"type": "ping"})]
    events += [("content_block_stop", {"type": "content_block_stop", "index": 0})]
    restored = restorer.events("anthropic.messages")
    out = [e for name, event in events for e in restored.feed(name, event)]
    shown = "".join(e["delta"]["text"] for _, e in out if e["type"] == "content_block_delta")
    assert shown == text
    assert out[-1][0] == "content_block_stop"
    assert restored.flush() == []


@settings(max_examples=60, deadline=None)
@given(text=texts, data=st.data())
def test_responses_event_streams_come_back_whole(text: str, data: st.DataObject) -> None:
    """Deltas, then the whole text again in the event that ends them."""
    sent, restorer = inspected(text)
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    kind = "response.output_text"
    events = [{"type": f"{kind}.delta", "delta": p, **where} for p in cuts(sent, data)]
    events.append({"type": f"{kind}.done", "text": sent, **where})
    restored = restorer.events("openai.responses")
    out = [e for event in events for _, e in restored.feed(event["type"], event)]
    assert "".join(e["delta"] for e in out if "delta" in e) == text
    assert out[-1]["text"] == text


def _block(delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}


def _issued(restorer: Restorer) -> dict[str, str]:
    return restorer._values
