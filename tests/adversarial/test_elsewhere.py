"""What a request only names, and the destination would fetch or has already: by the trick that
hides it. Nobody read it here, and what is there may be another team's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sovereign.errors import Unreadable
from sovereign.guard import Guard
from sovereign.guard.form import Form, Upload
from sovereign.types import Action, Destination

HOSTED = Destination("openai", "hosted")
CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"


def asks(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": [{"role": "user", "content": "hi"}, *items], **more}


def tool(**more: Any) -> dict[str, Any]:
    return asks(tools=[more])


def mcp(**more: Any) -> dict[str, Any]:
    return tool(type="mcp", server_label="x", **more)


def says(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [*messages, {"role": "user", "content": "hi"}], **more}


def thought(**part: Any) -> dict[str, Any]:
    return says({"role": "assistant", "content": [part]})


NAMED: dict[str, tuple[str, Any]] = {
    "item_without_a_type": (RESPONSES, asks({"id": "msg_1"})),
    "item_of_type_null": (RESPONSES, asks({"type": None, "id": "msg_1"})),
    "item_of_a_new_type": (RESPONSES, asks({"type": "newest_call", "id": "new_1"})),
    "stored_reasoning": (RESPONSES, asks({"type": "reasoning", "id": "rs_1", "summary": []})),
    "stored_picture": (RESPONSES, asks({"type": "image_generation_call", "id": "ig_1"})),
    "item_of_a_conversation": ("openai.conversations", {"items": [{"id": "msg_1"}]}),
    "stored_prompt": (RESPONSES, asks(prompt={"id": "pmpt_1"})),
    "spoken_answer": (CHAT, says({"role": "assistant", "audio": {"id": "audio_1"}})),
    "container_of_a_shell": (
        RESPONSES,
        tool(type="shell", environment={"type": "container_reference", "container_id": "c_1"}),
    ),
    "skill": (
        RESPONSES,
        tool(type="shell", environment={"skills": [{"type": "skill_reference", "skill_id": "s"}]}),
    ),
}
FETCHED: dict[str, tuple[str, Any]] = {
    "server_behind_a_space": (RESPONSES, mcp(server_url=" https://h.example/")),
    "server_without_a_scheme": (RESPONSES, mcp(server_url="h.example/sse")),
    "server_with_half_a_scheme": (RESPONSES, mcp(server_url="//h.example/sse")),
    "server_of_messages": (MESSAGES, says(mcp_servers=[{"type": "url", "url": "h.example/sse"}])),
    "connector": (RESPONSES, mcp(connector_id="connector_gmail", authorization="t")),
    "search_in_a_batch": (
        "anthropic.batches",
        {"requests": [{"params": says(tools=[{"type": "web_search_20250305", "name": "s"}])}]},
    ),
    "search_among_later_tools": (
        RESPONSES,
        asks({"type": "additional_tools", "tools": [{"type": "web_search"}]}),
    ),
    "network_of_a_shell": (
        RESPONSES,
        tool(
            type="shell",
            environment={"network_policy": {"type": "allowlist", "allowed_domains": ["h.example"]}},
        ),
    ),
}
SEALED: dict[str, tuple[str, Any]] = {
    "short_signature": (MESSAGES, thought(type="thinking", thinking="hm", signature="ErAb")),
    "index_of_a_citation": (
        MESSAGES,
        thought(type="text", text="hm", citations=[{"encrypted_index": "Eo8B"}]),
    ),
    "output_of_a_program": (
        MESSAGES,
        thought(type="tool_result", content={"encrypted_stdout": "Eo8B"}),
    ),
    "uri_with_more_behind_it": (
        RESPONSES,
        asks(
            {"content": [{"type": "input_file", "file_data": "data:text/plain;base64,QUJD!RA=="}]}
        ),
    ),
    "uri_in_the_place_of_letters": (
        MESSAGES,
        thought(type="document", source={"type": "base64", "data": "data:;base64,QUJD QUJD"}),
    ),
    "drawn_picture": (
        RESPONSES,
        asks({"type": "image_generation_call", "status": "completed", "result": "iVBORw0KGgo="}),
    ),
}
LINES: dict[str, tuple[str, Any]] = {
    "token_ids_of_a_prompt": ("/v1/completions", {"model": "m", "prompt": [[1, 2, 3]]}),
    "token_ids_of_an_input": ("/v1/embeddings", {"model": "m", "input": [1, 2, 3]}),
    "file": ("/v1/responses", asks({"role": "user", "content": [{"file_id": "file-1"}]})),
    "conversation": ("/v1/responses", asks(previous_response_id="resp_1")),
    "item": ("/v1/responses", asks({"id": "msg_1"})),
    "search": ("/v1/responses", tool(type="web_search")),
    "server": ("/v1/responses", mcp(server_url="https://h.example/")),
    "sealed": ("/v1/responses", asks({"type": "reasoning", "encrypted_content": "Eo8B"})),
    "picture": (
        "/v1/responses",
        asks({"content": [{"image_url": "data:image/png;base64,iVBORw0KGgo="}]}),
    ),
    "url": ("/v1/responses", asks({"content": [{"image_url": "https://h.example/x.png"}]})),
}


@pytest.mark.parametrize("trick", NAMED)
def test_what_the_destination_has_is_named_by_its_owner_only(guard: Guard, trick: str) -> None:
    """Whose it is knows the ledger; nobody's is not sent."""
    shape, body = NAMED[trick]
    with pytest.raises(Unreadable, match="kept elsewhere"):
        guard.inspect(body, to=HOSTED, shape=shape, held=lambda _: False)
    done = guard.inspect(body, to=HOSTED, shape=shape, held=lambda _: True)
    assert done.verdict.action is Action.ALLOW
    assert done.body == body


@pytest.mark.parametrize("trick", FETCHED)
def test_a_destination_fetches_only_from_hosts_that_are_listed(guard: Guard, trick: str) -> None:
    """However the host is spelled, and wherever the tool stands."""
    shape, body = FETCHED[trick]
    with pytest.raises(Unreadable, match="not listed"):
        guard.inspect(body, to=HOSTED, shape=shape)


@pytest.mark.parametrize("trick", SEALED)
def test_what_nobody_can_open_does_not_leave(guard: Guard, trick: str) -> None:
    """However short it is."""
    shape, body = SEALED[trick]
    with pytest.raises(Unreadable):
        guard.inspect(body, to=HOSTED, shape=shape)


@pytest.mark.parametrize("trick", LINES)
def test_a_line_of_a_batch_is_a_request(guard: Guard, trick: str) -> None:
    """What is refused in a request of its own is refused in an uploaded file of many."""
    url, body = LINES[trick]
    line = {"custom_id": "a", "method": "POST", "url": url, "body": body}
    upload = Upload("b.jsonl", "application/octet-stream", json.dumps(line).encode() + b"\n")
    with pytest.raises(Unreadable):
        guard.inspect(Form(purpose="batch", file=upload), to=HOSTED, shape="openai.files")


@pytest.mark.parametrize("width", [8, 20])
@pytest.mark.parametrize("between", ["\n", " "])
def test_a_file_in_lines_is_read_whole(guard: Guard, width: int, between: str) -> None:
    """As who decodes the field takes it."""
    letters = base64.b64encode(b"my SSN is 512-47-3391, keep it").decode()
    rows = between.join(letters[i : i + width] for i in range(0, len(letters), width))
    part = {
        "type": "input_file",
        "filename": "a.txt",
        "file_data": f"data:text/plain;base64,{rows}",
    }
    done = guard.inspect(asks({"content": [part]}), to=HOSTED, shape=RESPONSES)
    sent = done.body["input"][1]["content"][0]["file_data"].partition(",")[2]
    assert base64.b64decode(sent) == b"my SSN is [US_SSN], keep it"


def test_items_that_say_what_they_hold_may_have_any_id(guard: Guard) -> None:
    """Clients send answers back that were never stored."""
    body = asks(
        {"type": "message", "id": "m", "role": "assistant", "content": "Hello"},
        {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "id": "o", "call_id": "c", "output": "fine"},
        {"type": "reasoning", "summary": []},
    )
    assert guard.inspect(body, to=HOSTED, shape=RESPONSES, held=lambda _: False).body == body
