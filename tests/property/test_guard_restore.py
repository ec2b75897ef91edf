"""Laws of the guard: what was taken out comes back exactly, however the reply is cut in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard import Guard, Restorer
from sovereign.guard.surrogates import Surrogates
from sovereign.policy import Policy, load_policy
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


VALUES = [
    ("PERSON", "Maria Keller"),
    ("PERSON", "Keller"),
    ("PERSON", "MARIA KELLER"),
    ("PERSON", "Dr. José R. Muñoz-Lind"),
    ("PERSON", "王小明"),
    ("EMAIL_ADDRESS", "maria.keller84@klinik-nord.de"),
    ("PHONE_NUMBER", "+49 30 901820-4471"),
    ("PHONE_NUMBER", "(212) 867-5309"),
    ("CREDIT_CARD", "4111 1111 1111 1111"),
    ("IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
    ("MEDICAL_RECORD_NUMBER", "A-448201/77"),
    ("STREET_ADDRESS", "48 Harrowgate Crescent, Flat 3"),
    ("IP_ADDRESS", "10.1.22.7"),
    ("AGE", "83"),
]
FORMS = (
    str,
    str.upper,
    str.lower,
    lambda s: s.replace(" ", "\n"),
    lambda s: s.replace(" ", "** "),
    lambda s: f"**{s}**'s",
    lambda s: f"{s}s ",
    lambda s: f"x{s}",
    lambda s: f"{s}ü",
)


class Typed:
    """Finds the values above, each as its kind."""

    name = "typed"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        return [
            Finding((), m.start(), m.end(), entity, 0.9, self.name)
            for entity, value in VALUES
            for m in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text)
        ]


values = st.sampled_from([value for _, value in VALUES])

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


@settings(max_examples=120, deadline=None)
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
    forms += [made.replace("_", join) for join in ("\n", " ", "-", "\\u005f", "**_**")]
    text = "".join(data.draw(st.sampled_from(forms)) if p == "@" else p for p in parts)
    restorer = Restorer(surrogates.tags)
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
    tags = re.findall("PERSON_[A-Z2-7]{8}", sent)
    tag = next((t for t in tags if restorer.text(t) == f"‹{arguments}›"), "")
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


EVERYTHING = Policy(name="all", hosted={"*": "pseudonymize"})
REALISTIC = Guard(EVERYTHING, [Typed()], key=b"k" * 32, style="realistic")


class TestRealistic:
    """The same laws for stand-ins that look like what they stand for."""

    @settings(max_examples=120, deadline=None)
    @given(parts=st.lists(st.one_of(plain, values), min_size=1, max_size=8), data=st.data())
    def test_what_was_taken_out_comes_back(self, parts: list[str], data: st.DataObject) -> None:
        text = " ".join(parts)
        body = {"messages": [{"role": "user", "content": text}]}
        done = REALISTIC.inspect(body, to=HOSTED, shape="openai.chat")
        done.check_residual(raw=done.encode())
        sent = done.body["messages"][0]["content"]
        assert done.restorer.text(sent) == text
        stream = done.restorer.stream()
        assert "".join([*map(stream.feed, cuts(sent, data)), stream.flush()]) == text

    @settings(max_examples=150, deadline=None)
    @given(
        used=st.lists(st.sampled_from(VALUES), min_size=1, max_size=4, unique=True),
        parts=st.lists(st.one_of(plain, st.sampled_from(list("@@#%"))), max_size=12),
        data=st.data(),
    )
    def test_a_stream_restores_as_the_whole_text_does(
        self, used: list[tuple[str, str]], parts: list[str], data: st.DataObject
    ) -> None:
        """Names alone, in capitals, in two lines, with a genitive, and glued to other letters."""
        surrogates = Surrogates(b"k" * 32, "t", parts, "realistic")
        made = [surrogates.of(entity, value) for entity, value in used]
        words = [w for m in made for w in re.split(r"(\W+)", m)]
        forms = [f(x) for x in (*made, *words) for f in FORMS]
        text = "".join(data.draw(st.sampled_from(forms)) if p in "@#%" else p for p in parts)
        restorer = Restorer(surrogates.tags, surrogates.words)
        stream = restorer.stream()
        shown = "".join([*map(stream.feed, cuts(text, data)), stream.flush()])
        assert shown == restorer.text(text)


@pytest.mark.parametrize(
    "text",
    [
        "PERSON_AAAAAAAA",
        "PERSON_AAAAAAAAPERSON_K7Q2MX4D",
        "PERSON_ABPERSON_K7Q2MX4D",
        "US_PERSON_K7Q2MX4D and PERSON_PERSON_K7Q2MX4D",
        "PERSON_K7Q2MX4DK7Q2MX4D",
        "person\\_k7q2mx4d, PERSON_K7Q2MX4",
    ],
)
def test_tags_of_others_stay_and_hide_none_of_ours(text: str) -> None:
    """What looks like a tag is found by its form, and restored only if this request issued it."""
    restorer = Restorer({"PERSON_K7Q2MX4D": "Maria Keller", "US_SSN_AAAAAAAA": "123-45-6789"})
    found = re.compile(r"(?i)person\\?_k7q2mx4d")
    assert restorer.text(text) == found.sub("Maria Keller", text)
    for cut in range(len(text)):
        stream = restorer.stream()
        assert stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.flush() == (
            restorer.text(text)
        )
