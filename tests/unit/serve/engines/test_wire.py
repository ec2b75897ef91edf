"""The wire is read strictly: honoured, without effect by its value, or refused; never ignored."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.serve.engines.fields import BadRequest, read_json
from sovereign.serve.engines.messages import Call, Message
from sovereign.serve.engines.wire import parse_chat, parse_completion, parse_embeddings

BASE: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def _refused(body: dict[str, Any], parse: Any = parse_chat) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(read_json(json.dumps(body).encode()), {"m"})
    return caught.value


def test_defaults_are_those_of_the_wire() -> None:
    """What a caller does not say is what OpenAI documents, not what a model's folder says."""
    request = parse_chat(BASE, {"m"})
    assert (request.sampling.temperature, request.sampling.top_p) == (1.0, 1.0)
    assert (request.max_tokens, request.n, request.logprobs) == (None, 1, None)
    assert not request.stream
    assert parse_completion({"model": "m", "prompt": "x"}, {"m"}).max_tokens == 16


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "u-1"),
        ("metadata", {"team": "a"}),
        ("safety_identifier", "x"),
        ("frequency_penalty", 0),
        ("presence_penalty", 0.0),
        ("logit_bias", {}),
        ("logprobs", False),
        ("response_format", {"type": "text"}),
        ("service_tier", "auto"),
        ("store", False),
        ("n", 1),
        ("tools", None),
        ("tools", []),
        ("tool_choice", "auto"),
        ("parallel_tool_calls", False),
    ],
)
def test_a_field_without_effect_by_its_value_is_accepted(field: str, value: object) -> None:
    """Clients send defaults; refusing them would break them for nothing."""
    parse_chat(read_json(json.dumps({**BASE, field: value}).encode()), {"m"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", "f"),
        ("tools", [{"type": "function", "function": {"name": str(i)}} for i in range(129)]),
        ("tools", [{"type": "function", "function": {"name": "f"}}] * 2),
        ("tool_choice", "required"),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_object", "schema": {}}),
        ("response_format", {"type": "json_schema", "json_schema": {}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": 5}}),
        ("logprobs", 0),
        ("top_logprobs", 2),
        ("n", 9),
        ("n", 0),
        ("n", True),
        ("frequency_penalty", 2.1),
        ("presence_penalty", False),
        ("logit_bias", {"5": 101}),
        ("logit_bias", {"five": 1}),
        ("logit_bias", [5]),
        ("store", True),
        ("service_tier", "flex"),
        ("audio", {}),
        ("modalities", ["audio"]),
        ("prediction", {}),
        ("reasoning_effort", "low"),
        ("input", "x"),
        ("dimensions", 5),
        ("top_k", 5),
        ("min_p", 0.1),
        ("repetition_penalty", 1.1),
        ("chat_template", "x"),
        ("prompt", "x"),
        ("user", 5),
        ("metadata", {"a": 1}),
        ("temperature", "1"),
        ("temperature", True),
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("top_p", 0),
        ("top_p", 1.5),
        ("seed", 1.5),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("max_tokens", 1.0),
        ("max_completion_tokens", -1),
        ("stop", [""]),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", 5),
        ("stop", "x" * 257),
        ("stream", "yes"),
        ("stream", 1),
        ("stream_options", {"include_usage": True}),
        ("model", 5),
    ],
)
def test_a_field_that_cannot_be_honoured_is_named(field: str, value: object) -> None:
    """A 400 that names it; never a different answer than the one that was asked for."""
    bad = _refused({**BASE, field: value})
    assert bad.status == 400
    assert bad.param == field
    assert bad.body()["error"]["type"] == "invalid_request_error"


def test_an_unknown_field_is_refused_without_repeating_its_name() -> None:
    """The name is the caller's text; its place is enough to find it."""
    bad = _refused({**BASE, "patient_jane_roe": 1})
    assert bad.code == "unknown_parameter"
    assert "jane" not in json.dumps(bad.body())
    assert "field 3" in bad.message


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "hi",
        ["hi"],
        [{"role": "user"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": []}],
        [{"role": "tool", "content": "x", "tool_call_id": "1"}],
        [{"role": "function", "name": "f", "content": "x"}],
        [{"role": "root", "content": "x"}],
        [{"role": "user", "content": "x", "name": "ann"}],
        [{"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}],
        [{"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}]}],
        [{"role": "user", "content": [{"type": "text", "text": 5}]}],
        [{"role": "user", "content": ["x"]}],
    ],
)
def test_a_message_that_cannot_be_read_whole_is_refused(messages: object) -> None:
    """Nothing of a conversation is dropped on the way to the model."""
    bad = _refused({"model": "m", "messages": messages})
    assert bad.status == 400
    assert (bad.param or "").startswith("messages")


def test_text_parts_and_an_echoed_assistant_message_are_read() -> None:
    """Clients send back what they got, empty fields included."""
    request = parse_chat(
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]},
                {"role": "assistant", "content": "c", "refusal": None, "annotations": []},
            ],
        },
        {"m"},
    )
    assert request.messages == (
        Message("system", "s"),
        Message("user", "a\nb"),
        Message("assistant", "c"),
    )


@pytest.mark.parametrize(
    "prompt", ["", [], ["a"] * 9, [1, 2], [[1, 2]], 5, None, ["a", ""], ["a", 5]], ids=repr
)
def test_a_prompt_is_text_or_a_few_texts(prompt: object) -> None:
    """Token ids cannot be read by the guard, and each prompt is a row of the batch."""
    assert _refused({"model": "m", "prompt": prompt}, parse_completion).param == "prompt"


@pytest.mark.parametrize(
    "extra", [{"echo": True}, {"best_of": 2}, {"suffix": "x"}, {"logprobs": 6}, {"tools": [5]}]
)
def test_what_completions_cannot_do_is_refused(extra: dict[str, Any]) -> None:
    """As for chat."""
    bad = _refused({"model": "m", "prompt": "x", **extra}, parse_completion)
    assert bad.param in extra


def test_another_model_is_a_404_that_names_the_served_one_only() -> None:
    """The asked name may be anything a caller typed."""
    bad = _refused({**BASE, "model": "secret-name"})
    assert (bad.status, bad.code) == (404, "model_not_found")
    assert "secret" not in bad.message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'\xff{"a":1}',
        b"\xef\xbb\xbf{}",
        b'{"a":1} x',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_a_body_that_two_readers_might_read_differently_is_refused(raw: bytes) -> None:
    """The gateway's guard and this engine must see the same request."""
    with pytest.raises(BadRequest) as caught:
        read_json(raw)
    assert caught.value.code == "invalid_json"


def test_two_token_limits_must_agree() -> None:
    """Which one holds would otherwise be a secret of ours."""
    assert _refused({**BASE, "max_tokens": 5, "max_completion_tokens": 6}).param
    both = {**BASE, "max_tokens": 5, "max_completion_tokens": 5}
    assert parse_chat(both, {"m"}).max_tokens == 5


@given(
    st.dictionaries(
        st.text(max_size=12),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
    )
)
def test_no_body_gets_past_with_anything_but_a_request_or_a_shaped_refusal(
    extra: dict[str, Any],
) -> None:
    """Any JSON object beside the base: read or refused, never another exception."""
    for parse in (parse_chat, parse_completion, parse_embeddings):
        with contextlib.suppress(BadRequest):
            parse({**extra, **BASE}, {"m"})


def test_a_request_shows_no_text() -> None:
    """A repr ends up in tracebacks."""
    request = parse_chat({**BASE, "stop": "hidden"}, {"m"})
    assert "hi" not in repr(request).replace("hidden", "").replace("include_usage", "")
    assert "hidden" not in repr(request)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def test_a_conversation_with_tools_is_read_whole() -> None:
    """What was called, with what, and what came of it."""
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    request = parse_chat({"model": "m", "messages": messages, "tools": [TOOL]}, {"m"})
    assert request.messages == (
        Message("user", "x"),
        Message("assistant", "", (Call("c1", "f", '{"a": 1}'),)),
        Message("tool", "2"),
    )
    assert request.tools is not None
    assert [t.name for t in request.tools.offered] == ["f"]


@pytest.mark.parametrize(
    "broken",
    [
        {"role": "tool", "tool_call_id": "c2", "content": "of no call"},
        {"role": "tool", "content": "of no call"},
        {"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]},
        {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f"}}]},
        {
            "role": "assistant",
            "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "[1]"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}],
        },
        {"role": "assistant", "tool_calls": "c1"},
        {"role": "user", "content": "x", "tool_calls": [CALL]},
    ],
)
def test_a_call_that_cannot_be_read_is_refused(broken: dict[str, Any]) -> None:
    """A model that is told half of it would answer to something else."""
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    bad = _refused({"model": "m", "messages": [called, broken]})
    assert (bad.param or "").startswith("messages[1]")


@pytest.mark.parametrize(
    ("choice", "callable_", "kind"),
    [
        (None, "fg", "auto"),
        ("auto", "fg", "auto"),
        ("required", "fg", "required"),
        ({"type": "function", "function": {"name": "g"}}, "g", "required"),
    ],
)
def test_tool_choice_says_what_may_and_what_must_be_called(
    choice: object, callable_: str, kind: str
) -> None:
    """All are shown to the model; those that may be called, the grammar lets through."""
    tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    asked = parse_chat({**BASE, "tools": tools, "tool_choice": choice}, {"m"}).tools
    assert asked is not None
    assert "".join(t.name for t in asked.callable) == callable_
    assert (len(asked.offered), asked.choice) == (2, kind)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{**TOOL, "defer": True}]},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}, "x": 1}},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f", "x": 1}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {}},
                "x": 1,
            }
        },
    ],
)
def test_a_field_inside_another_is_not_passed_over_either(fields: dict[str, Any]) -> None:
    """It would say something of the answer that does not come true."""
    bad = _refused({**BASE, **fields})
    assert (bad.param or "").partition("[")[0] in fields


def test_tool_choice_none_offers_nothing() -> None:
    """Nothing is rendered and nothing is parsed: text that looks like a call is text."""
    assert parse_chat({**BASE, "tools": [TOOL], "tool_choice": "none"}, {"m"}).tools is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["x"] * 257}, "input"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "x", "dimensions": 5}, "dimensions"),
        ({"input": "x", "messages": []}, "messages"),
    ],
)
def test_an_embedding_that_cannot_be_made_is_refused(fields: dict[str, Any], param: str) -> None:
    """As for chat."""
    assert _refused({"model": "m", **fields}, parse_embeddings).param == param


def test_a_number_beyond_any_float_is_refused() -> None:
    """JSON has no largest integer; a comparison with one that is must not fail."""
    assert _refused({**BASE, "temperature": 10**400}).param == "temperature"
    assert _refused({**BASE, "logit_bias": {"1": -(10**400)}}).param == "logit_bias"


def test_the_id_of_a_call_is_a_text() -> None:
    """Neither a list nor an object can be looked up among those before it."""
    for wrong in ([], {}, 1):
        message = {"role": "tool", "content": "x", "tool_call_id": wrong}
        refused = _refused({**BASE, "messages": [*BASE["messages"], message]})
        assert refused.param == "messages[1].tool_call_id"


@pytest.mark.parametrize("raw", [b'{"a": "\\ud83d"}', b'{"\\udc00": 1}', b'["\\udfff"]'])
def test_half_a_surrogate_pair_is_no_text(raw: bytes) -> None:
    """No tokenizer takes it. A whole pair is one character."""
    with pytest.raises(BadRequest, match="UTF-8"):
        read_json(raw)
    assert read_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
