"""LiteLLM's real proxy asks our real gateway, with the configuration that docs/litellm.md gives,
and a recording stand-in is the API behind it. What their proxy does not show is held here too: if a
newer version shows it, a test says so, and the page can be made better.

The proxy has an environment of its own: `scripts/clients litellm`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from their_proxy import LITELLM, Proxy, running

SSN = "078-05-1120"
PNG = "data:image/png;base64,iVBORw0KGgo="

pytestmark = pytest.mark.skipif(
    not LITELLM.exists(),
    reason="LiteLLM's proxy is not installed here: `scripts/clients litellm` installs it",
)


@pytest.fixture(scope="module")
def proxy(
    gateway_at: Any, stand_in: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("litellm")
    with running(folder, gateway_at(tiny=True).start(), stand_in()) as proxy:
        yield proxy


def _chat(proxy: Proxy, stream: bool) -> str:
    with proxy.openai() as client:
        messages: Any = [{"role": "user", "content": f"My number is {SSN}"}]
        if not stream:
            whole = client.chat.completions.create(model="gpt-test", messages=messages)
            return whole.choices[0].message.content or ""
        chunks = list(
            client.chat.completions.create(model="gpt-test", messages=messages, stream=True)
        )
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def _completion(proxy: Proxy, stream: bool) -> str:
    with proxy.openai() as client:
        fields: Any = {"model": "text-test", "prompt": f"My number is {SSN}"}
        if not stream:
            return client.completions.create(**fields).choices[0].text
        chunks = client.completions.create(**fields, stream=True)
        return "".join(c.choices[0].text or "" for c in chunks if c.choices)


def _response(proxy: Proxy, stream: bool) -> str:
    with proxy.openai() as client:
        fields: Any = {"model": "gpt-test", "input": SSN, "instructions": f"Mine is {SSN}"}
        if not stream:
            return client.responses.create(**fields).output_text
        events = client.responses.create(**fields, stream=True)
        return "".join(e.delta for e in events if e.type == "response.output_text.delta")


def _message(proxy: Proxy, stream: bool) -> str:
    with proxy.anthropic() as client:
        messages: Any = [{"role": "user", "content": f"My number is {SSN}"}]
        fields: Any = {"model": "claude-test", "max_tokens": 50, "messages": messages}
        if stream:
            with client.messages.stream(**fields, system=f"Mine is {SSN}") as events:
                return "".join(events.text_stream)
        return str(client.messages.create(**fields, system=f"Mine is {SSN}").content[0].text)


ENDPOINTS = {
    "chat": _chat,
    "completions": _completion,
    "responses": _response,
    "messages": _message,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_values_stay_inside_and_a_reply_gets_them_back(
    proxy: Proxy, endpoint: str, stream: bool
) -> None:
    """The API repeats what it saw. A streamed reply is restored by their proxy for chat
    completions alone; elsewhere its caller sees surrogates."""
    before = len(proxy.records("request.intent"))
    said = ENDPOINTS[endpoint](proxy, stream)
    [body] = proxy.left()
    assert SSN.encode() not in body
    assert b"US_SSN_" in body
    restored = not stream or endpoint == "chat"
    assert (SSN in said, "US_SSN_" in said) == (restored, not restored)
    [intent] = proxy.records("request.intent")[before:]
    assert intent["entities"]["US_SSN"]
    assert proxy.gateway.wait_for(intent["request"], "request.result")["outcome"] == "ok"
    assert SSN not in json.dumps(proxy.gateway.records())


def test_everything_of_a_conversation_with_tools_is_read(proxy: Proxy) -> None:
    """System, parts, history, tool calls, a tool's answer, tools, names, fields that nobody knows,
    and a file beside a text."""
    text = base64.b64encode(SSN.encode()).decode()
    call = {"name": "look_up", "arguments": json.dumps({"of": SSN})}
    rows = [
        {"role": "system", "content": f"Help {SSN}"},
        {"role": "user", "content": [{"type": "text", "text": SSN}], "name": SSN, "unheard": SSN},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "c1", "content": f"found {SSN}"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And this?"},
                {"type": "file", "file": {"file_data": f"data:text/plain;base64,{text}"}},
            ],
        },
    ]
    tool = {"name": "look_up", "description": f"like {SSN}", "parameters": {"type": "object"}}
    body = {
        "model": "gpt-test",
        "messages": rows,
        "tools": [{"type": "function", "function": tool}],
    }
    status, _ = proxy.post("/v1/chat/completions", body)
    assert status == 200
    [left] = proxy.left()
    assert SSN.encode() not in left
    assert text.encode() not in left
    assert left.count(b"US_SSN_") >= 7


def test_tool_calls_of_a_reply_keep_their_surrogates(proxy: Proxy) -> None:
    """Their proxy shows them to us, and takes no change of them."""
    messages: Any = [{"role": "user", "content": f"My number is {SSN}"}]
    with proxy.openai() as client:
        reply = client.chat.completions.create(model="gpt-tool", messages=messages)
    [call] = reply.choices[0].message.tool_calls or []
    assert "US_SSN_" in call.function.arguments  # type: ignore[union-attr]
    proxy.left()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("said", ["TOPSECRET", "KEEPINSIDE", "EXPLODE"])
def test_what_is_blocked_is_an_error_that_the_client_knows(
    proxy: Proxy, said: str, stream: bool
) -> None:
    """A ban, what may only be asked of a model inside, and a recogniser that fails: status 400 with
    our reason, and nothing went out."""
    before = len(proxy.records("request.refusal"))
    messages: Any = [{"role": "user", "content": f"{said} {SSN}"}]
    with proxy.openai() as client, pytest.raises(openai.BadRequestError) as error:
        list(client.chat.completions.create(model="gpt-test", messages=messages, stream=stream))
    assert ("tiny raised" if said == "EXPLODE" else "the policy lets nothing") in str(error.value)
    assert SSN not in str(error.value)
    assert proxy.left() == []
    assert len(proxy.records("request.refusal")) == before + 1


SHOWN_ONLY = {
    "an image's prompt": ("/v1/images/generations", {"model": "gpt-test", "prompt": SSN}),
    "words to speak": (
        "/v1/audio/speech",
        {"model": "gpt-test", "voice": "alloy", "input": SSN},
    ),
    "a pass-through": (
        "/anthropic/v1/messages",
        {"model": "claude-test", "max_tokens": 5, "messages": [{"role": "user", "content": SSN}]},
    ),
}


@pytest.mark.parametrize("what", SHOWN_ONLY)
def test_what_their_proxy_would_not_change_is_blocked(proxy: Proxy, what: str) -> None:
    """Of these their proxy takes our word only for stop or go. Once it sent the clear text of an
    image's prompt and of a pass-through after we had answered with surrogates."""
    path, body = SHOWN_ONLY[what]
    status, said = proxy.post(path, body)
    assert (status, proxy.left()) == (400, [])
    assert b"would have to be changed" in said
    harmless = json.loads(json.dumps(body).replace(SSN, "hello"))
    assert proxy.post(path, harmless)[0] == 200
    assert len(proxy.left()) == 1


def _user(*parts: Any) -> dict[str, Any]:
    """A user's message of these parts."""
    return {"role": "user", "content": list(parts)}


USER = {"role": "user", "content": "Hello"}
TEXT = {"type": "text", "text": "What is this?"}
CHAT = {"model": "gpt-test", "messages": [USER]}
CLAUDE = {"model": "claude-test", "max_tokens": 5, "messages": [USER]}
PAPER = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": SSN}}
FORM = (
    f'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-test\r\n--x\r\n'
    f'Content-Disposition: form-data; name="prompt"\r\n\r\n{SSN}\r\n--x\r\nContent-Disposition: '
    f'form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--x--\r\n'
).encode()
SCHEMA = {"name": "a", "schema": {"type": "object", "description": SSN}}
TYPED = {**SCHEMA, "type": "json_schema"}
WAV = {"type": "input_audio", "input_audio": {"data": SSN, "format": "wav"}}
CITY = {"user_location": {"type": "approximate", "city": SSN}}
LEAVES_UNREAD: dict[str, tuple[str, Any]] = {
    "chat: stop": ("/v1/chat/completions", {**CHAT, "stop": [SSN]}),
    "chat: prediction": (
        "/v1/chat/completions",
        {**CHAT, "prediction": {"type": "content", "content": SSN}},
    ),
    "chat: response_format": (
        "/v1/chat/completions",
        {**CHAT, "response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    ),
    "chat: functions": ("/v1/chat/completions", {**CHAT, "functions": [{"name": SSN}]}),
    "chat: web_search_options": ("/v1/chat/completions", {**CHAT, "web_search_options": CITY}),
    "chat: unknown": ("/v1/chat/completions", {**CHAT, "unheard": SSN}),
    "responses: user": ("/v1/responses", {"model": "gpt-test", "input": "Hello", "user": SSN}),
    "responses: metadata": (
        "/v1/responses",
        {"model": "gpt-test", "input": "Hello", "metadata": {"a": SSN}},
    ),
    "responses: prompt": (
        "/v1/responses",
        {"model": "gpt-test", "input": "Hello", "prompt": {"id": "p", "variables": {"a": SSN}}},
    ),
    "responses: text": (
        "/v1/responses",
        {
            "model": "gpt-test",
            "input": "Hello",
            "text": {"format": {**SCHEMA, "type": "json_schema"}},
        },
    ),
    "responses: built-in tool": (
        "/v1/responses",
        {"model": "gpt-test", "input": "Hello", "tools": [{"type": "web_search", **CITY}]},
    ),
    "messages: metadata": ("/v1/messages", {**CLAUDE, "metadata": {"user_id": SSN}}),
    "messages: stop_sequences": ("/v1/messages", {**CLAUDE, "stop_sequences": [SSN]}),
    "messages: document": (
        "/v1/messages",
        {
            **CLAUDE,
            "messages": [{"role": "user", "content": [PAPER, {"type": "text", "text": "?"}]}],
        },
    ),
}
NOT_SHOWN: dict[str, tuple[str, Any]] = {
    "file without text": (
        "/v1/chat/completions",
        {**CHAT, "messages": [_user({"type": "file", "file": {"file_data": f"data:,{SSN}"}})]},
    ),
    "image without text": (
        "/v1/chat/completions",
        {**CHAT, "messages": [_user({"type": "image_url", "image_url": {"url": PNG + SSN}})]},
    ),
    "audio without text": (
        "/v1/chat/completions",
        {
            **CHAT,
            "messages": [_user(WAV)],
        },
    ),
    "count_tokens": (
        "/v1/messages/count_tokens",
        {"model": "claude-test", "messages": [{"role": "user", "content": SSN}]},
    ),
    "moderations": ("/v1/moderations", {"model": "gpt-test", "input": SSN}),
    "transcriptions": ("/v1/audio/transcriptions", FORM),
    "compact": ("/v1/responses/compact", {"model": "gpt-test", "input": SSN}),
    "input_tokens": ("/v1/responses/input_tokens", {"model": "gpt-test", "input": SSN}),
    "vector stores": ("/v1/vector_stores/vs_1/search", {"query": SSN}),
    "batches": (
        "/v1/batches",
        {
            "input_file_id": "file_1",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"a": SSN},
        },
    ),
}


@pytest.mark.parametrize("what", [*LEAVES_UNREAD, *NOT_SHOWN])
def test_what_their_proxy_does_not_show_leaves_as_it_is(proxy: Proxy, what: str) -> None:
    """docs/litellm.md says so, line by line. Of some we see the request without this part; of
    others nothing, and our log has no record of them."""
    path, body = (LEAVES_UNREAD | NOT_SHOWN)[what]
    before = len(proxy.records("request.intent"))
    proxy.post(path, body)
    assert SSN.encode() in b"".join(proxy.left())
    assert len(proxy.records("request.intent")) - before == (what in LEAVES_UNREAD)


def test_an_image_beside_a_text_is_shown_and_refused(proxy: Proxy) -> None:
    """It cannot be read here, and this policy keeps inside what cannot be read."""
    image = {"type": "image_url", "image_url": {"url": PNG}}
    status, _ = proxy.post("/v1/chat/completions", {**CHAT, "messages": [_user(TEXT, image)]})
    assert (status, proxy.left()) == (400, [])


def test_embeddings_and_failed_calls_have_an_intent_and_no_result(proxy: Proxy) -> None:
    """What left is in the log; how it ended their proxy does not show."""
    before = len(proxy.records("request.intent"))
    assert proxy.post("/v1/embeddings", {"model": "gpt-test", "input": [f"I am {SSN}"]})[0] == 200
    status, _ = proxy.post(
        "/v1/chat/completions",
        {"model": "gpt-500", "messages": [{"role": "user", "content": f"I am {SSN}"}]},
    )
    assert status == 500
    left = proxy.left()
    assert len(left) >= 2
    assert all(SSN.encode() not in body for body in left)
    asked = {r["request"] for r in proxy.records("request.intent")[before:]}
    assert len(asked) == 2
    assert asked.isdisjoint(r["request"] for r in proxy.records("request.result"))


def test_a_caller_cannot_turn_the_guardrail_off(proxy: Proxy) -> None:
    """Not even one with the master key, by what a request may say about guardrails."""
    asks: list[dict[str, Any]] = [
        {"guardrails": []},
        {"disable_global_guardrails": True, "metadata": {"disable_global_guardrails": True}},
    ]
    for more in asks:
        rows = [{"role": "user", "content": f"I am {SSN}"}]
        proxy.post("/v1/chat/completions", {"model": "gpt-test", "messages": rows, **more})
        [body] = proxy.left()
        assert SSN.encode() not in body


def test_when_the_gateway_is_down_their_proxy_refuses(proxy: Proxy) -> None:
    """The last test here: it stops the gateway. Whatever is shown to us is refused then."""
    assert proxy.gateway.stop() == 0
    with proxy.openai() as client, pytest.raises(openai.InternalServerError, match="Guardrail"):
        client.chat.completions.create(model="gpt-test", messages=[USER])  # type: ignore[list-item]
    with proxy.anthropic() as client, pytest.raises(anthropic.InternalServerError):
        client.messages.create(model="claude-test", max_tokens=5, messages=[USER])  # type: ignore[list-item]
    for path, body in [*SHOWN_ONLY.values(), *LEAVES_UNREAD.values()]:
        assert proxy.post(path, body)[0] == 500
    assert proxy.left() == []
