"""What tells of a call to a hosted API, and which way each text of it went."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scan_samples import ANSWER, CHAT, HAR, LOG
from scanned import read, records

from sovereign.scan.readers.hosts import ANCHORS, HOSTED, inside, provider_of, provider_of_model
from sovereign.scan.record import Direction, Record

SENT, RECEIVED, STORED = Direction.SENT, Direction.RECEIVED, Direction.STORED


def line(value: Any) -> Record:
    """The record of one JSON line."""
    return records(read("a.jsonl", json.dumps(value).encode() + b"\n"))[0]


def ways(record: Record) -> dict[str, Direction]:
    return {f.path: f.direction for f in record.fields}


BATCH_IN = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
BATCH_OUT = {"id": "b", "custom_id": "r-1", "response": {"status_code": 200, "body": ANSWER}}
CLAUDE_IN = {"custom_id": "r-1", "params": {"model": "claude-x", "max_tokens": 5, **CHAT}}
CLAUDE_OUT = {
    "custom_id": "r-1",
    "result": {"message": {"type": "message", "role": "assistant", "content": [{"text": "hi"}]}},
}
CLAUDE = {
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hello you"}],
}
SPEND = {
    "request_id": "r-1",
    "call_type": "acompletion",
    "spend": 0.1,
    "model": "gpt-4o",
    "custom_llm_provider": "azure",
    "messages": json.dumps(CHAT["messages"]),
    "response": json.dumps(ANSWER),
}
SPAN = {
    "name": "chat gpt-4o",
    "attributes": [
        {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(CHAT["messages"])}},
        {"key": "gen_ai.output.messages", "value": {"stringValue": '[{"content": "Dear you"}]'}},
        {"key": "service.name", "value": {"stringValue": "billing"}},
    ],
    "events": [{"name": "gen_ai.user.message", "attributes": {"content": "hi there"}}],
}
GENERATION = {"type": "GENERATION", "model": "gpt-4o", "input": ["hi Ada"], "output": "Dear Ada"}
PROXIED = {
    "url": "https://api.anthropic.com/v1/messages",
    "request_body": "hello Ada",
    "response_body": "hi Ada",
    "pod": "web-1",
}


@pytest.mark.parametrize(
    ("value", "provider", "path", "way"),
    [
        (CHAT, "openai", "messages[0].content", SENT),
        (ANSWER, "unknown", "choices[0].message.content", RECEIVED),
        (CLAUDE, "anthropic", "content[0].text", RECEIVED),
        (BATCH_IN, "openai", "body.messages[0].content", SENT),
        (BATCH_OUT, "openai", "response.body.choices[0].message.content", RECEIVED),
        (CLAUDE_IN, "anthropic", "params.messages[0].content", SENT),
        (CLAUDE_OUT, "anthropic", "result.message.content[0].text", RECEIVED),
        (SPEND, "azure", "messages[0].content", SENT),
        (SPEND, "azure", "response.choices[0].message.content", RECEIVED),
        (SPAN, "openai", "attributes[1].value.stringValue[0].content", SENT),
        (SPAN, "openai", "attributes[2].value.stringValue[0].content", RECEIVED),
        (SPAN, "openai", "attributes[3].value.stringValue", STORED),
        (SPAN, "openai", "events[0].attributes.content", SENT),
        (GENERATION, "openai", "input[0]", SENT),
        (GENERATION, "openai", "output", RECEIVED),
        (PROXIED, "anthropic", "request_body", SENT),
        (PROXIED, "anthropic", "response_body", RECEIVED),
        (PROXIED, "anthropic", "pod", STORED),
        ({"request": CHAT, "response": ANSWER}, "openai", "response.choices[0].message.content",
         RECEIVED),
        ({"ts": 1, "body": json.dumps(CHAT)}, "openai", "body.messages[0].content", SENT),
    ],
)  # fmt: skip
def test_the_way_of_every_text_is_known(
    value: Any, provider: str, path: str, way: Direction
) -> None:
    """Shapes as OpenAI, Anthropic, LiteLLM, OpenTelemetry, Langfuse and proxies write them."""
    record = line(value)
    assert record.call is not None
    assert record.call.provider == provider
    assert ways(record)[path] is way


def test_earlier_answers_in_a_request_were_sent() -> None:
    """The whole history goes out again with every turn."""
    turns = [*CHAT["messages"], {"type": "message", "role": "assistant", "content": "Dear Ada"}]
    assert set(ways(line({"model": "gpt-4o", "messages": turns})).values()) == {SENT}


def test_what_went_to_a_host_of_the_house_did_not_leave() -> None:
    """The toolkit's own models: a call, and nothing sent out."""
    record = line({"api_base": "http://vllm.models.svc:8000/v1", **CHAT})
    assert record.call is not None
    assert record.call.provider == "local"
    assert set(ways(record).values()) == {STORED}


@pytest.mark.parametrize(
    "value",
    [
        {"level": "INFO", "message": "prompt service started", "model": "x1"},
        {"messages": [{"role": "user", "content": "hi Ada"}]},
        {"choices": ["red", "blue"], "question": "which colour?"},
        {"url": "https://example.org/api", "body": "hello Ada"},
    ],
)
def test_what_only_looks_alike_is_no_call(value: Any) -> None:
    """A false leak costs an auditor a day."""
    assert line(value).call is None


def test_entries_of_a_har_file_are_calls_where_their_host_is_hosted() -> None:
    har = json.loads(json.dumps(HAR))
    har["log"]["entries"][1]["request"]["url"] = "https://intranet.example.org/x"
    har["log"]["entries"][1]["request"]["postData"]["text"] = "plain form"
    har["log"]["entries"][1]["response"]["content"]["text"] = "plain page"
    found = records(read("a.har", json.dumps(har).encode()))
    assert [r.call.host if r.call else None for r in found] == [
        None,
        "api.openai.com",
        None,
        "api.openai.com",
    ]
    assert ways(found[1])["log.entries[].request.postData.text.messages[0].content"] is SENT
    assert found[1].time == 1767323045.0


def test_lines_of_proxy_logs_are_calls_and_their_queries_are_decoded() -> None:
    found = records(read("a.log", LOG + b'x "https://api.openai.com/v1/x?q=Ada%20Z" 200\n'))
    assert [r.call.provider if r.call else None for r in found] == [None, "openai", "openai"]
    assert [r.number for r in found] == [1, 3, 4]
    assert found[0].fields[1].text == "zoe@example.org"
    assert [(f.text, f.direction) for f in found[2].fields][1:] == [("Ada Z", SENT)]


def test_a_body_inside_a_line_of_a_log_is_a_call() -> None:
    data = f"2026-01-02 03:04:05 INFO sending {json.dumps(CHAT)} now\n".encode()
    record = records(read("a.log", data))[0]
    assert record.call is not None
    assert ways(record)["messages[0].content"] is SENT
    assert record.time == 1767323045.0


def test_a_row_of_a_usage_export_names_its_caller() -> None:
    data = b"user_email,model,n_requests\nada@example.org,gpt-4o,12\n"
    call = records(read("usage.csv", data))[1].call
    assert call is not None
    assert call.caller == "ada@example.org"
    assert "ada@example.org" not in repr(call)


def test_hosts_and_models_are_known() -> None:
    """Every host of the table has one of the anchors, or lines that name it would be passed by."""
    assert all(any(anchor in host for anchor in ANCHORS) for host in HOSTED)
    assert provider_of("eastus.openai.azure.com:443") == "azure"
    assert provider_of("bedrock-runtime.eu-west-1.amazonaws.com") == "bedrock"
    assert provider_of("us-central1-aiplatform.googleapis.com") == "google"
    assert provider_of("notapi.openai.com.evil.org") == ""
    assert provider_of_model("azure/gpt-4o") == "azure"
    assert provider_of_model("llama-3") == ""
    assert [inside(h) for h in ("10.0.0.1", "localhost", "a.internal", "1.1.1.1", "x.org")] == [
        True,
        True,
        True,
        False,
        False,
    ]
