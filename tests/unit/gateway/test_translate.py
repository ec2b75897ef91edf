"""Anthropic messages to the OpenAI wire and back: everything carried, or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from sovereign.errors import Unsupported, UpstreamFailed
from sovereign.gateway.translate import EventTranslator, reply_back, request_out

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


IMAGE = {"type": "image", "source": {"type": "base64", "data": "aGk="}}


@pytest.mark.parametrize(
    "change",
    [
        {"top_k": 4},
        {"tools": [{"name": "f", "input_schema": {}}]},
        {"tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 9}},
        {"a_field_of_next_year": 1},
        {"system": 3},
        {"system": [IMAGE]},
        {"messages": "a"},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": [{"role": "user", "content": [IMAGE]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "a"}]}]},
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

    translator = EventTranslator("req_1")
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
            EventTranslator("req_1").feed({"choices": [{"delta": {"content": 3}}]})
