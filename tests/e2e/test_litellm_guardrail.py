"""LiteLLM's generic guardrail API, asked as their proxy (1.110) asks it: what may go on, what
comes back, and that whatever fails is BLOCKED, not an error that they could pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

PATH = "/beta/litellm_basic_guardrail_api"
MARIA = "Maria Keller"


@pytest.fixture(scope="module")
def asks(tiny: Any) -> Callable[..., Any]:
    """Asks as their proxy does, with a key of this scope."""
    made = tiny.run("keys", "create", "--team", "proxy", "--models", "guardrail/litellm", "--json")
    key = json.loads(made.stdout)["key"]

    def ask(kind: str = "request", call: str = "call-1", **shown: Any) -> Any:
        body = {
            "input_type": kind,
            "litellm_call_id": call,
            "litellm_trace_id": None,
            "request_data": {"user_api_key_alias": "ward"},
            "request_headers": {"authorization": "[present]"},
            "litellm_version": "1.110.2",
            "images": None,
            "tools": None,
            "structured_messages": None,
            "tool_calls": None,
            "additional_provider_specific_params": {},
            "model": "gpt-4",
            **shown,
        }
        answer = tiny.ask(body, PATH, key=None, headers={"x-api-key": key})
        assert answer.status == 200
        return json.loads(answer.body), answer.request

    return ask


def test_a_request_goes_on_without_its_values_and_the_reply_gets_them_back(
    tiny: Any, asks: Callable[..., Any]
) -> None:
    """Texts, rows with tool calls, and tools are rewritten alike; the reply is restored for this
    call only; intent and result are in the log, and no value is."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": json.dumps({"who": MARIA})},
    }
    rows = [
        {"role": "user", "content": f"I am {MARIA}"},
        {"role": "assistant", "tool_calls": [call]},
    ]
    tools = [{"type": "function", "function": {"name": "f", "description": f"for {MARIA}"}}]
    said, request = asks(
        texts=[f"I am {MARIA}"], structured_messages=rows, tools=tools, tool_calls=[call]
    )
    assert said["action"] == "GUARDRAIL_INTERVENED"
    assert MARIA not in json.dumps(said)
    surrogate = said["texts"][0].removeprefix("I am ")
    assert said["structured_messages"][0]["content"] == said["texts"][0]
    arguments = said["structured_messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"who": surrogate}
    assert said["tools"][0]["function"]["description"] == f"for {surrogate}"

    reply, _ = asks("response", texts=[f"Dear {surrogate},"])
    assert reply["texts"] == [f"Dear {MARIA},"]
    other, _ = asks("response", call="call-2", texts=[f"Dear {surrogate},"])
    assert other == {"action": "NONE"}, "another call gets nothing of it"
    intent = tiny.wait_for(request, "request.intent")
    assert (intent["endpoint"], intent["destination"]) == ("litellm.guardrail", "litellm")
    assert intent["team"] == "proxy"
    assert tiny.wait_for(request, "request.result")["outcome"] == "ok"
    assert MARIA not in json.dumps(tiny.records())


def test_a_streamed_reply_holds_back_what_may_still_become_a_surrogate(
    asks: Callable[..., Any],
) -> None:
    """They show the text so far, again and again, and emit all but the last so many characters."""
    said, _ = asks(call="stream", texts=[f"I am {MARIA}"])
    surrogate = said["texts"][0].removeprefix("I am ")
    whole, sent = f"Dear {surrogate}, hello", ""
    for end in range(1, len(whole) + 1):
        reply, _ = asks("response", call="stream", texts=[whole[:end]])
        text = reply.get("texts", [whole[:end]])[0]
        keep = reply.get("stream_holdback_chars", [0])[0]
        assert text.startswith(sent), "what went out stays"
        sent = text[: len(text) - keep] if keep else text
    assert sent == f"Dear {MARIA}, hello"


def test_nothing_to_do_is_none(asks: Callable[..., Any]) -> None:
    """A harmless request and its reply go on untouched."""
    assert asks(call="n", texts=["Hello"])[0] == {"action": "NONE"}
    assert asks("response", call="n", texts=["Hi"])[0] == {"action": "NONE"}


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ({"texts": ["TOPSECRET"]}, "refused_by_policy"),
        ({"texts": ["KEEPINSIDE"]}, "refused_by_policy"),
        ({"texts": ["EXPLODE Maria Keller"]}, "recognizer_failed"),
        ({"texts": ["see"], "images": ["data:image/png;base64,iVBORw0KGgo="]}, "refused_by_policy"),
        ({"texts": [], "tool_calls": [{"function": {"arguments": MARIA}}]}, "refused_by_policy"),
        # What their proxy shows and then sends as it was: an image's prompt, a pass-through's body.
        ({"texts": [f"paint {MARIA}"], "litellm_call_id": None}, "refused_by_policy"),
        ({"texts": [json.dumps({"messages": [{"content": MARIA}]})]}, "refused_by_policy"),
        ({"texts": ["x"], "input_type": "something"}, "unreadable"),
        ({"texts": ["x"], "litellm_call_id": 7}, "unreadable"),
    ],
)
def test_what_may_not_go_on_is_blocked_and_recorded(
    tiny: Any, asks: Callable[..., Any], shown: dict[str, Any], code: str
) -> None:
    """Status 200 and BLOCKED: their proxy can be told to go on after an error, not after this."""
    said, request = asks(**shown)
    assert said["action"] == "BLOCKED"
    assert "Maria" not in said["blocked_reason"]
    assert tiny.wait_for(request, "request.refusal")["code"] == code


def test_the_scope_of_keys_holds_both_ways(tiny: Any) -> None:
    """A key for models may not ask the guardrail, a key of the guardrail may not ask a model, and
    an unknown one nothing: each is BLOCKED or refused, and recorded."""
    made = tiny.run("keys", "create", "--team", "proxy", "--models", "guardrail/litellm", "--json")
    key = json.loads(made.stdout)["key"]
    assert tiny.ask(key=key).status == 403
    body = {"input_type": "request", "texts": ["hi"], "request_data": {}}
    for other in (tiny.key, "sk-sovereign-unheard-of"):
        answer = tiny.ask(body, PATH, key=other)
        assert answer.status == 200
        assert json.loads(answer.body)["action"] == "BLOCKED"
        assert tiny.wait_for(answer.request, "request.refusal")["status"] in (401, 403)
    broken = tiny.ask(b"{", PATH, key=key)
    assert json.loads(broken.body)["action"] == "BLOCKED"


def test_a_call_whose_reply_is_never_shown_has_no_result(gateway_at: Any) -> None:
    """As of an embedding: it may have left, and nothing says that it failed."""
    gateway = gateway_at(tiny=True)
    gateway.command.insert(2, "--one-open")
    gateway.start()
    made = gateway.run("keys", "create", "--team", "x", "--models", "guardrail/litellm", "--json")
    key = json.loads(made.stdout)["key"]

    def ask(kind: str, call: str) -> str:
        body = {"input_type": kind, "litellm_call_id": call, "texts": ["hi"]}
        return str(gateway.ask(body, PATH, key=key).request)

    forgotten, kept = ask("request", "a"), ask("request", "b")
    ask("response", "a")
    ask("response", "b")
    gateway.wait_for(kept, "request.result")
    assert [r["type"] for r in gateway.records(forgotten)] == ["request.intent"]
    assert gateway.stop() == 0


def test_without_a_log_it_blocks(gateway_at: Any) -> None:
    """No record, no go."""
    gateway = gateway_at(tiny=True).start()
    made = gateway.run(
        "keys", "create", "--team", "proxy", "--models", "guardrail/litellm", "--json"
    )
    key = json.loads(made.stdout)["key"]
    body = {"input_type": "request", "texts": ["hi"], "request_data": {}}
    assert json.loads(gateway.ask(body, PATH, key=key).body)["action"] == "NONE"
    database = gateway.folder / "audit" / "log.db"
    database.rename(database.with_suffix(".away"))
    said = json.loads(gateway.ask(body, PATH, key=key).body)
    assert said["action"] == "BLOCKED"
    database.with_suffix(".away").rename(database)
    assert gateway.stop() == 0
