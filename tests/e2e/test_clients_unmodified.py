"""The `openai` and `anthropic` clients, as they are installed, through the whole gateway, by base
URL and key alone: hosted and local, sync and async, streamed and not."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest

TEXT = "Please write to Maria Keller, maria.keller@example.com, card 4111 1111 1111 1111."
IDENTIFIERS = ("Maria", "Keller", "maria.keller", "4111")
RESTORED = "Maria Keller, maria.keller@example.com"


def _openai(full: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{full.url}/v1", api_key=full.key, max_retries=0)


def _anthropic(full: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=full.url, api_key=full.key, max_retries=0)


def _hosted_bytes_are_clean(full: Any) -> None:
    received = full.hosted.received()
    assert received
    for request in received:
        head = repr((request["path"], request["query"], request["headers"])).lower()
        for identifier in IDENTIFIERS:
            assert identifier.lower() not in head
            assert identifier.lower().encode() not in request["body"].lower()
        assert full.key not in head


MODELS = ["gpt-test", "local-test"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_openai_chat_gets_its_own_words_back(full: Any, model: str, stream: bool) -> None:
    """The reply repeats what the destination saw, so the caller sees that restoring works; the
    hosted side's bytes hold no identifier."""
    with _openai(full) as client:
        messages: Any = [{"role": "user", "content": TEXT}]
        if stream:
            chunks = list(
                client.chat.completions.create(model=model, messages=messages, stream=True)
            )
            said = "".join(c.choices[0].delta.content or "" for c in chunks)
            assert chunks[-1].choices[0].finish_reason == "stop"
        else:
            reply = client.chat.completions.create(model=model, messages=messages)
            said = reply.choices[0].message.content or ""
            assert reply.usage is not None
    assert RESTORED in said
    _hosted_bytes_are_clean(full)


@pytest.mark.parametrize("model", ["claude-test", "local-test"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_anthropic_messages_get_their_own_words_back(full: Any, model: str, stream: bool) -> None:
    """As above; a local model speaks the OpenAI wire, and the translation is not visible."""
    with _anthropic(full) as client:
        messages: Any = [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]
        fields: dict[str, Any] = {"model": model, "max_tokens": 100, "messages": messages}
        if stream:
            with client.messages.stream(**fields, system="Be brief.") as events:
                said = "".join(events.text_stream)
                final = events.get_final_message()
        else:
            final = client.messages.create(**fields, system="Be brief.")
            said = final.content[0].text
    assert RESTORED in said
    assert final.stop_reason == "end_turn"
    assert final.role == "assistant"
    _hosted_bytes_are_clean(full)


@pytest.mark.parametrize("model", MODELS)
def test_async_clients_get_their_own_words_back(full: Any, model: str) -> None:
    """The async halves of both SDKs, streamed and not, on one event loop."""

    async def ask() -> list[str]:
        said = []
        async with openai.AsyncOpenAI(base_url=f"{full.url}/v1", api_key=full.key) as client:
            messages: Any = [{"role": "user", "content": TEXT}]
            reply = await client.chat.completions.create(model=model, messages=messages)
            said.append(reply.choices[0].message.content or "")
            stream = await client.chat.completions.create(
                model=model, messages=messages, stream=True
            )
            said.append("".join([c.choices[0].delta.content or "" async for c in stream]))
        named = "claude-test" if model == "gpt-test" else model
        async with anthropic.AsyncAnthropic(base_url=full.url, api_key=full.key) as other:
            fields: dict[str, Any] = {"model": named, "max_tokens": 9, "messages": messages}
            message = await other.messages.create(**fields)
            said.append(message.content[0].text)
            async with other.messages.stream(**fields) as events:
                said.append("".join([text async for text in events.text_stream]))
        return said

    for said in asyncio.run(ask()):
        assert RESTORED in said
    _hosted_bytes_are_clean(full)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tool_call_arguments_come_back_as_valid_json(full: Any, stream: bool) -> None:
    """Arguments are JSON in a string: restored values are escaped for it, in streams too."""
    import json

    odd = f'{TEXT} "quoted"'
    with _openai(full) as client:
        messages: Any = [{"role": "user", "content": odd}]
        if stream:
            chunks = client.chat.completions.create(
                model="standin-tool", messages=messages, stream=True
            )
            arguments = "".join(
                call.function.arguments or ""
                for chunk in chunks
                for call in chunk.choices[0].delta.tool_calls or ()
                if call.function is not None
            )
        else:
            reply = client.chat.completions.create(model="standin-tool", messages=messages)
            calls: Any = reply.choices[0].message.tool_calls
            arguments = calls[0].function.arguments
    assert RESTORED in json.loads(arguments)["about"]
    with _anthropic(full) as other:
        fields: dict[str, Any] = {
            "model": "claude-standin-tool",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": odd}],
        }
        if stream:
            with other.messages.stream(**fields) as events:
                message = events.get_final_message()
        else:
            message = other.messages.create(**fields)
    block: Any = message.content[0]
    assert RESTORED in block.input["about"]
    _hosted_bytes_are_clean(full)


@pytest.mark.parametrize("model", ["gpt-test", "standin-tool"])
def test_responses_are_restored_whole_and_streamed(full: Any, model: str) -> None:
    """Deltas, and the final items that repeat them."""
    with _openai(full) as client:
        reply = client.responses.create(model=model, input=TEXT)
        events: Any = list(client.responses.create(model=model, input=TEXT, stream=True))
    deltas = "".join(e.delta for e in events if e.type.endswith(".delta"))
    assert events[-1].type == "response.completed"
    for said in (deltas, reply.model_dump_json(), events[-1].response.model_dump_json()):
        assert RESTORED in said
    _hosted_bytes_are_clean(full)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_log_probabilities_are_of_the_restored_text(full: Any, stream: bool) -> None:
    """On each wire the tokens joined are the text that the caller sees, though the destination
    scored pieces of stand-ins, three letters each; no probability is lost."""
    scores: list[float] = []
    told: list[Any] = []
    with _openai(full) as client:
        asked: Any = {"model": "gpt-test", "messages": [{"role": "user", "content": TEXT}]}
        asked |= {"logprobs": True, "top_logprobs": 1, "stream": stream}
        if stream:
            choices = [c.choices[0] for c in client.chat.completions.create(**asked)]
            said = "".join(c.delta.content or "" for c in choices)
        else:
            choices = client.chat.completions.create(**asked).choices
            said = choices[0].message.content
        told += [e for c in choices if c.logprobs for e in c.logprobs.content]
        assert RESTORED in said
        assert "".join(e.token for e in told) == said
        assert b"".join(bytes(e.bytes) for e in told).decode() == said
        scores.append(sum(e.logprob for e in told))

        asked = {"model": "gpt-test", "prompt": TEXT, "logprobs": 1, "stream": stream}
        answer: Any = client.completions.create(**asked)
        choices = [c.choices[0] for c in answer] if stream else answer.choices
        said = "".join(c.text for c in choices)
        tokens = [t for c in choices if c.logprobs for t in c.logprobs.tokens]
        offsets = [o for c in choices if c.logprobs for o in c.logprobs.text_offset]
        assert RESTORED in said
        assert "".join(tokens) == said
        assert offsets == [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        scores.append(sum(p for c in choices if c.logprobs for p in c.logprobs.token_logprobs))

        include = ["message.output_text.logprobs"]
        asked = {"model": "gpt-test", "input": TEXT, "include": include, "stream": stream}
        answer = client.responses.create(**asked)
        if stream:
            events = list(answer)
            deltas = [e for e in events if e.type == "response.output_text.delta"]
            streamed = [e for d in deltas for e in d.logprobs]
            (done,) = (e for e in events if e.type == "response.output_text.done")
            answer = events[-1].response
            assert "".join(d.delta for d in deltas) == answer.output_text == done.text
            assert [e.token for e in streamed] == [e.token for e in done.logprobs]
        part = answer.output[0].content[0]
        assert RESTORED in part.text
        assert "".join(e.token for e in part.logprobs) == part.text
        scores.append(sum(e.logprob for e in part.logprobs))
    assert len(set(scores)) == 1
    _hosted_bytes_are_clean(full)


def test_the_other_endpoints_answer(full: Any) -> None:
    """Completions, embeddings, the list of models on both wires, and Anthropic's token count."""
    with _openai(full) as client:
        text = client.completions.create(model="gpt-test", prompt=TEXT).choices[0].text
        assert RESTORED in text
        streamed = client.completions.create(model="gpt-test", prompt=TEXT, stream=True)
        assert RESTORED in "".join(c.choices[0].text for c in streamed)
        vectors = client.embeddings.create(model="gpt-test", input=[TEXT, "and more"])
        assert [len(d.embedding) for d in vectors.data] == [2, 2]
        listed = {m.id for m in client.models.list()}
        assert {"gpt-test", "claude-test", "local-test"} <= listed
        assert "wild-*" not in listed
    with _anthropic(full) as other:
        assert "local-test" in {m.id for m in other.models.list()}
        counted = other.messages.count_tokens(
            model="claude-test", messages=[{"role": "user", "content": TEXT}]
        )
        assert counted.input_tokens > 0
    _hosted_bytes_are_clean(full)


def test_usual_model_names_pass_a_pattern(full: Any) -> None:
    """A name that only a pattern took is inspected as text; real names must not raise an alarm."""
    with _openai(full) as client:
        for model in ("wild-gpt-4o-mini", "wild-claude-sonnet-4-5-20250929", "wild-o3-2025-04-16"):
            messages: Any = [{"role": "user", "content": "Hello"}]
            assert client.chat.completions.create(model=model, messages=messages).choices
        for model in ("wild-jane.roe@example.com", "wild-123-45-6789", "wild-Maria Keller"):
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model=model, messages=messages)
    sent = b"".join(r["body"] for r in full.hosted.received())
    assert not any(word in sent for word in (b"jane.roe", b"123-45", b"Maria"))


def test_every_answer_says_what_was_decided_and_where_it_went(full: Any) -> None:
    """Four headers lead from an answer to its records."""
    with _openai(full) as client:
        messages: Any = [{"role": "user", "content": TEXT}]
        raw = client.chat.completions.with_raw_response.create(model="gpt-test", messages=messages)
    request = raw.headers["x-sovereign-request"]
    assert raw.headers["x-sovereign-verdict"] == "pseudonymize"
    assert raw.headers["x-sovereign-destination"] == "openai"
    intent = full.wait_for(request, "request.intent")
    result = full.wait_for(request, "request.result")
    assert full.records()[int(raw.headers["x-sovereign-record"])] == intent
    assert intent["team"] == "cardiology"
    assert intent["entities"]["PERSON"] == {"pseudonymize": 1}
    assert (result["outcome"], result["status"]) == ("ok", 200)
    assert request in full.hosted.ids()


def test_only_listed_headers_leave(full: Any) -> None:
    """What an application sends in headers of its own stays with the gateway."""
    with _openai(full) as client:
        messages: Any = [{"role": "user", "content": "Hello"}]
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-test",
            messages=messages,
            extra_headers={"X-Patient": "Maria Keller", "OpenAI-Organization": "Keller"},
        )
    mine = raw.headers["x-sovereign-request"]
    sent = [r for r in full.hosted.received() if dict(r["headers"])["x-request-id"] == mine]
    assert len(sent) == 1
    for received in sent:
        headers = dict(received["headers"])
        assert headers.keys() <= {
            "host",
            "content-type",
            "content-length",
            "accept",
            "accept-encoding",
            "user-agent",
            "x-request-id",
            "authorization",
            "x-api-key",
            "anthropic-version",
        }
        assert received["query"] == ""
