"""Each bad input of the road, through real processes: a shaped error, a record, nothing sent."""

from __future__ import annotations

import gzip
import json
from typing import Any

import anthropic
import openai
import pytest

CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


def chat(text: str, model: str = "gpt-test", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no key": ({"key": None}, 401, "invalid_api_key"),
    "a wrong key": ({"key": "sk-sovereign-wrong"}, 401, "invalid_api_key"),
    "an unknown model": ({"body": chat("x", "gpt-unheard-of")}, 404, "model_not_found"),
    "no model": ({"body": {"messages": []}}, 404, "model_not_found"),
    "broken JSON": ({"body": b'{"model": "gpt-test", '}, 400, "unreadable"),
    "not an object": ({"body": b"[1]"}, 400, "unreadable"),
    "duplicate keys": (
        {"body": b'{"model": "gpt-test", "messages": [], "messages": [{}]}'},
        400,
        "unreadable",
    ),
    "a body too large": ({"body": chat("x" * 300_000)}, 413, "too_large"),
    "gzip": (
        {
            "body": gzip.compress(json.dumps(HELLO).encode()),
            "headers": {"Content-Encoding": "gzip"},
        },
        400,
        "unreadable",
    ),
    "a wrong content type": ({"headers": {"Content-Type": "text/plain"}}, 400, "unreadable"),
    "a form": ({"headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, "unreadable"),
    "an unknown endpoint": ({"path": "/v1/newest"}, 404, "unknown_endpoint"),
    "an unknown method": ({"method": "PUT"}, 404, "unknown_endpoint"),
    "a trailing slash": ({"path": CHAT + "/"}, 404, "unknown_endpoint"),
    "a web socket": (
        {
            "path": "/v1/realtime",
            "method": "GET",
            "body": b"",
            "headers": {"Connection": "Upgrade", "Upgrade": "websocket"},
        },
        404,
        "unknown_endpoint",
    ),
    "a query string": ({"path": CHAT + "?patient=Maria+Keller"}, 400, "unreadable"),
    "stream that is no boolean": ({"body": chat("x", stream="yes")}, 400, "unreadable"),
    "a failing recogniser": ({"body": chat("EXPLODE Maria Keller")}, 503, "recognizer_failed"),
    "what the policy blocks": ({"body": chat("TOPSECRET")}, 403, "refused_by_policy"),
    "blocked also inside": (
        {"body": chat("TOPSECRET", "local-test")},
        403,
        "refused_by_policy",
    ),
    "the other wire": ({"body": chat("x", "claude-test")}, 400, "unsupported"),
    "a body that a model inside cannot take over that wire": (
        {
            "path": "/v1/messages",
            "body": {**chat("x", "local-test"), "max_tokens": 1, "top_k": 3},
            "headers": {"anthropic-version": "2026-10-21"},
        },
        400,
        "unsupported",
    ),
    "an unknown version": (
        {"path": "/v1/messages", "headers": {"anthropic-version": "2019-01-01"}},
        400,
        "unreadable",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_recorded_and_nothing_sent(tiny: Any, name: str) -> None:
    """The error is shaped as its wire wants, the refusal is in the log, the upstreams saw nothing,
    and neither error nor log nor stderr repeats what the caller wrote."""
    how, status, code = REFUSED[name]
    before = len(tiny.hosted.received()) + len(tiny.local.received())
    answer = tiny.ask(**how)
    assert answer.status == status, answer.body
    if "/v1/messages" in how.get("path", ""):
        assert json.loads(answer.body)["type"] == "error"
        assert set(answer.error) == {"type", "message"}
    else:
        assert set(answer.error) == {"message", "type", "param", "code"}
        assert answer.error["code"] == code
    record = tiny.wait_for(answer.request, "request.refusal")
    assert (record["code"], record["status"]) == (code, status)
    assert int(answer.headers["x-sovereign-record"]) == tiny.records().index(record)
    assert [r["type"] for r in tiny.records(answer.request)] == ["request.refusal"]
    assert len(tiny.hosted.received()) + len(tiny.local.received()) == before
    for said in (answer.body.decode(), json.dumps(record), tiny.stderr()):
        assert "Maria" not in said
        assert "Traceback" not in said


UPSTREAM: dict[str, tuple[str, int]] = {
    "down": ("dead-test", 502),
    "hangs": ("standin-hang", 504),
    "half an answer": ("standin-half", 502),
    "not JSON": ("standin-garbage", 502),
    "a redirect": ("standin-redirect", 502),
    "takes not our key": ("standin-401", 502),
    "429": ("standin-429", 429),
    "500": ("standin-500", 500),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", UPSTREAM)
def test_a_failing_destination_is_an_error_and_a_result(tiny: Any, name: str, stream: bool) -> None:
    """Intent, then a result that says upstream_failed; the caller gets an error of its own wire,
    and the SDK raises."""
    model, status = UPSTREAM[name]
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key=tiny.key, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "I am Maria Keller"}]
        with pytest.raises(openai.APIError) as raised:
            reply: Any = client.chat.completions.create(
                model=model, messages=messages, stream=stream
            )
            list(reply)
    if isinstance(raised.value, openai.APIStatusError):
        assert raised.value.status_code == status
        request = raised.value.response.headers["x-sovereign-request"]
        if status in (429, 500):
            assert "I am Maria Keller" in raised.value.message, "its own words, restored"
    else:
        assert (name, stream) == ("half an answer", True)
        request = tiny.records()[-1]["request"]
    result = tiny.wait_for(request, "request.result")
    assert result["outcome"] == "upstream_failed"
    types = [r["type"] for r in tiny.records(request)]
    assert types == ["request.intent", "request.result"]


@pytest.mark.parametrize("model", ["claude-standin-half", "local-standin-half"])
def test_half_a_stream_is_an_error_on_the_anthropic_wire_too(tiny: Any, model: str) -> None:
    """Also where the stream is translated: the SDK raises, it does not take half for whole."""
    client = anthropic.Anthropic(base_url=tiny.url, api_key=tiny.key, max_retries=0)
    messages: Any = [{"role": "user", "content": "I am Maria Keller"}]
    with (
        client,
        pytest.raises(anthropic.APIError),
        client.messages.stream(model=model, max_tokens=9, messages=messages) as events,
    ):
        for _ in events.text_stream:
            pass


@pytest.mark.parametrize("model", ["claude-standin-500", "local-standin-500"])
def test_an_upstream_error_has_the_callers_shape(tiny: Any, model: str) -> None:
    """Anthropic's SDK gets Anthropic's shape, whatever the destination said."""
    client = anthropic.Anthropic(base_url=tiny.url, api_key=tiny.key, max_retries=0)
    messages: Any = [{"role": "user", "content": "I am Maria Keller"}]
    with client, pytest.raises(anthropic.InternalServerError) as raised:
        client.messages.create(model=model, max_tokens=9, messages=messages)
    assert "I am Maria Keller" in raised.value.message
