"""Anthropic messages to the OpenAI wire and back: everything carried, or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from sovereign.errors import Unsupported, UpstreamFailed
from sovereign.gateway.translate.messages import MessageEvents, reply_back, request_out

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "Be", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
    ],
    "stop_sequences": ["x"],
    "temperature": 0,
    "top_p": 0.5,
    "stream": True,
    "tools": [],
    "thinking": {"type": "disabled"},
    "metadata": {"user_id": "u"},
}


def test_a_request_is_carried_over() -> None:
    """Every field that the other wire has, under its name there."""
    assert request_out(ASKED) == {
        "model": "m",
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 0.5,
        "stream": True,
        "stop": ["x"],
        "messages": [
            {"role": "system", "content": "Be"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c\nd"},
        ],
    }


SOURCE = {"type": "base64", "media_type": "image/png", "data": "aGk="}
IMAGE = {"type": "image", "source": SOURCE}
DOCUMENT = {"type": "document", "source": SOURCE}


def test_tools_calls_results_and_images_are_carried_over() -> None:
    """An agent that the policy keeps inside goes on with its tools. What another model thought on
    earlier turns is left out, as its own API leaves it out."""
    asked = {
        **ASKED,
        "tools": [
            {"name": "look_up", "description": "d", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "tool", "name": "look_up", "disable_parallel_tool_use": True},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "wait"},
                    {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"a": "ü"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True},
                    {"type": "text", "text": "again"},
                ],
            },
        ],
    }
    out = request_out(asked)
    function = {"name": "look_up", "parameters": {"type": "object"}, "description": "d"}
    assert out["tools"] == [{"type": "function", "function": function}]
    assert out["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
    assert out["parallel_tool_calls"] is False
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    call = {"name": "look_up", "arguments": '{"a": "ü"}'}
    assert out["messages"][1:] == [
        {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
        {
            "role": "assistant",
            "content": "wait",
            "tool_calls": [{"id": "t1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "error: no"},
        {"role": "user", "content": "again"},
    ]


def test_tool_calls_are_carried_back_whole_and_streamed() -> None:
    """The SDK's own accumulator puts the streamed events together to the same message."""
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": arguments}}
        for i, arguments in enumerate(('{"a": 1}', ""))
    ]
    said = {"role": "assistant", "content": "so", "tool_calls": calls}
    choice = {"finish_reason": "tool_calls", "message": said}
    message = reply_back({"choices": [choice]}, "req_1")
    uses = [
        {"type": "tool_use", "id": "c0", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    ]
    assert message["content"] == [{"type": "text", "text": "so"}, *uses]
    assert message["stop_reason"] == "tool_use"

    translator = MessageEvents("req_1")
    events = translator.feed({"choices": [{"delta": {"role": "assistant", "content": "so"}}]})
    for index, call in enumerate(calls):
        first = {**call, "index": index, "function": {"name": "f", "arguments": ""}}
        events += translator.feed({"choices": [{"delta": {"tool_calls": [first]}}]})
        for piece in call["function"]["arguments"]:
            more = {"index": index, "function": {"arguments": piece}}
            events += translator.feed({"choices": [{"delta": {"tool_calls": [more]}}]})
    events += translator.feed({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    events += translator.finish()
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for _, data in events:
        event = TypeAdapter(RawMessageStreamEvent).validate_python(data)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot.to_dict()["content"] == message["content"]
    assert snapshot.stop_reason == "tool_use"


@pytest.mark.parametrize(
    "change",
    [
        {"top_k": 4},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"name": "f", "input_schema": {}, "a_field_of_next_year": 1}]},
        {"tool_choice": {"type": "a_choice_of_next_year"}},
        {"thinking": {"type": "enabled", "budget_tokens": 9}},
        {"a_field_of_next_year": 1},
        {"system": 3},
        {"system": [IMAGE]},
        {"messages": "a"},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": [{"role": "user", "content": [DOCUMENT]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": 3}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [IMAGE]}]}]},
        {"messages": [{"role": "user", "content": "a", "name": "Maria"}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    ],
    ids=repr,
)
def test_what_cannot_be_carried_is_refused_not_dropped(change: dict[str, Any]) -> None:
    """An image that the model never saw would be an answer to another question. The error does not
    repeat what the caller wrote, field names of its own included."""
    with pytest.raises(Unsupported) as refused:
        request_out({**ASKED, **change})
    assert "a_field_of_next_year" not in refused.value.message
    assert "Maria" not in refused.value.message


@pytest.mark.parametrize(
    ("finish", "matched", "expected"),
    [
        ("stop", None, ("end_turn", None)),
        ("stop", "x", ("stop_sequence", "x")),
        ("length", None, ("max_tokens", None)),
        ("content_filter", None, ("refusal", None)),
    ],
)
def test_a_reply_is_carried_back(finish: str, matched: str | None, expected: object) -> None:
    """Text, the reason it ended, and what it cost; whole and streamed alike."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    choice = {"finish_reason": finish, "stop_reason": matched}
    whole = {
        "model": "m",
        "choices": [{**choice, "message": {"role": "assistant", "content": "hi"}}],
        "usage": usage,
    }
    message = reply_back(whole, "req_1")
    assert message["id"] == "msg_1"
    assert message["content"] == [{"type": "text", "text": "hi"}]
    assert (message["stop_reason"], message["stop_sequence"]) == expected
    assert message["usage"] == {"input_tokens": 3, "output_tokens": 4}

    translator = MessageEvents("req_1")
    events = translator.feed({"model": "m", "choices": [{"delta": {"role": "assistant"}}]})
    events += translator.feed({"choices": [{"delta": {"content": "h"}}]})
    events += translator.feed({"choices": [{"delta": {"content": "i"}}]})
    events += translator.feed({"choices": [{**choice, "delta": {}}]})
    events += translator.feed({"choices": [], "usage": usage})
    events += translator.finish()
    assert [name for name, _ in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(name == data["type"] for name, data in events)
    ended = events[-2][1]
    assert (ended["delta"]["stop_reason"], ended["delta"]["stop_sequence"]) == expected
    assert ended["usage"] == {"input_tokens": 3, "output_tokens": 4}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": [{"message": {}}]},
        {"choices": [{"message": {"content": 3}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{}]}}]},
        [],
    ],
    ids=repr,
)
def test_another_kind_of_reply_is_a_failure(body: Any) -> None:
    """Not an empty message, and not a crash."""
    with pytest.raises(UpstreamFailed):
        reply_back(body, "req_1")
    if body:
        with pytest.raises(UpstreamFailed):
            MessageEvents("req_1").feed({"choices": [{"delta": {"content": 3}}]})
