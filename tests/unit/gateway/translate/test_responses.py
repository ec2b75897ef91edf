"""OpenAI responses to chat and back: everything carried, or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from sovereign.errors import Unsupported, UpstreamFailed
from sovereign.gateway.translate.responses import ResponseEvents, reply_back, request_out

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
ASKED: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "And kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "and this"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
            ],
        },
    ],
    "max_output_tokens": 9,
    "tools": [TOOL],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}},
    "reasoning": {"effort": "low"},
    "store": True,
    "stream": True,
    "previous_response_id": None,
}


def test_a_request_is_carried_over() -> None:
    """An agent on the responses wire goes on inside, with its tools and its schema."""
    calls = [
        {"id": c, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for c in ("c1", "c2")
    ]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert request_out(ASKED) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "parameters": {"type": "object"}, "strict": True},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {}, "strict": True},
        },
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "And kind."},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "user", "content": [{"type": "text", "text": "and this"}, image]},
        ],
    }
    assert request_out({"model": "m", "input": "hi"})["messages"] == [
        {"role": "user", "content": "hi"}
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"a_field_of_next_year": 1},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{**TOOL, "a_field_of_next_year": 1}]},
        {"tool_choice": {"type": "web_search"}},
        {"text": {"format": {"type": "grammar"}}},
        {"input": 3},
        {"input": [{"type": "computer_call"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        {"input": [{"role": "Maria", "content": "a"}]},
    ],
    ids=repr,
)
def test_what_cannot_be_carried_is_refused_not_dropped(change: dict[str, Any]) -> None:
    """The error does not repeat what the caller wrote, field names of its own included."""
    with pytest.raises(Unsupported) as refused:
        request_out({**ASKED, **change})
    assert "a_field_of_next_year" not in refused.value.message
    assert "Maria" not in refused.value.message


USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls"])
def test_a_reply_is_carried_back_whole_and_streamed(finish: str) -> None:
    """Both are what the SDK's own models take, and the stream's last event holds the whole."""
    calls = [CALL] if finish == "tool_calls" else []
    said = {"role": "assistant", "content": "hi", "tool_calls": calls}
    body = {
        "model": "m",
        "choices": [{"finish_reason": finish, "message": said}],
        "usage": USAGE,
    }
    whole = reply_back(body, "req_1")
    checked = Response.model_validate(whole)
    assert checked.output_text == "hi"
    assert checked.status == ("incomplete" if finish == "length" else "completed")
    assert len(checked.output) == 1 + len(calls)

    translator = ResponseEvents("req_1")
    events = translator.feed({"model": "m", "choices": [{"delta": {"role": "assistant"}}]})
    for piece in "hi":
        events += translator.feed({"choices": [{"delta": {"content": piece}}]})
    for call in calls:
        first = {**call, "index": 0, "function": {"name": "f", "arguments": ""}}
        events += translator.feed({"choices": [{"delta": {"tool_calls": [first]}}]})
        for piece in call["function"]["arguments"]:
            more = {"index": 0, "function": {"arguments": piece}}
            events += translator.feed({"choices": [{"delta": {"tool_calls": [more]}}]})
    events += translator.feed({"choices": [{"delta": {}, "finish_reason": finish}]})
    events += translator.feed({"choices": [], "usage": USAGE})
    events += translator.finish()
    for number, (name, data) in enumerate(events):
        assert (name, number) == (data["type"], data["sequence_number"])
        TypeAdapter(ResponseStreamEvent).validate_python(data)
    last = events[-1][1]
    assert last["type"] == f"response.{checked.status}"
    assert {**last["response"], "created_at": 0} == {**whole, "created_at": 0}
    deltas = [d["delta"] for n, d in events if n == "response.output_text.delta"]
    assert "".join(deltas) == "hi"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": [{"message": {}}]},
        {"choices": [{"message": {"content": 3}}]},
        [],
    ],
    ids=repr,
)
def test_another_kind_of_reply_is_a_failure(body: Any) -> None:
    """Not an empty response, and not a crash."""
    with pytest.raises(UpstreamFailed):
        reply_back(body, "req_1")
    with pytest.raises(UpstreamFailed):
        ResponseEvents("req_1").feed({"choices": [{"delta": {"content": 3}}]})
