"""Any SDK, guarded in process: what leaves is transformed, what comes back is restored, and what is
not known is not sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from sovereign.errors import UnknownEndpoint, Unreadable
from sovereign.guard import Guard
from sovereign.types import Destination

HOSTED = Destination("openai", "hosted")
MakeGuard = Callable[..., Guard]
ASK = "I am Ada Zorblatt, 512-47-3391"


class Bytes(httpx2.SyncByteStream):
    """A reply that comes in small pieces."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self._raw), 7):
            yield self._raw[at : at + 7]


class Upstream:
    """Answers with what it was sent, and remembers the bytes."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        raw = request.read()
        self.seen.append(raw + str(request.url).encode() + repr(request.headers).encode())
        body = json.loads(raw)
        echo = f"You said: {body['messages'][-1]['content']}"
        if body.get("stream"):
            kind = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=kind, stream=Bytes(_events(request, echo)))
        if request.url.path.endswith("/messages"):
            return httpx2.Response(200, json=_message(echo))
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": echo},
        }
        completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        return httpx2.Response(200, json={**completion, "choices": [choice]})


def _message(text: str) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    content = [{"type": "text", "text": text}]
    head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    return {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None}


def _events(request: httpx2.Request, text: str) -> bytes:
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    if not request.url.path.endswith("/messages"):
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        chunks = [{"index": 0, "delta": {"content": p}, "finish_reason": None} for p in pieces]
        chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        lines = [json.dumps({**head, "choices": [c]}) for c in chunks] + ["[DONE]"]
        return "".join(f"data: {line}\n\n" for line in lines).encode()
    block = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    start = {"type": "message_start", "message": {**_message(""), "content": []}}
    deltas = [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": p},
        }
        for p in pieces
    ]
    stop = [{"type": "content_block_stop", "index": 0}, {"type": "message_stop"}]
    events: list[dict[str, Any]] = [start, block, *deltas, *stop]
    return "".join(f"event: {e['type']}\r\ndata: {json.dumps(e)}\r\n\r\n" for e in events).encode()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


def test_the_openai_client_gets_its_own_words_back_and_the_other_side_never_saw_them(
    make_guard: MakeGuard, upstream: Upstream
) -> None:
    """The unmodified SDK, streamed and not."""
    http = make_guard().http_client(HOSTED, transport=httpx2.MockTransport(upstream))
    client = openai.OpenAI(api_key="k", base_url="http://h/v1", http_client=http, max_retries=0)
    ask: Any = {"model": "m", "messages": [{"role": "user", "content": ASK}]}
    whole = client.chat.completions.create(**ask)
    assert whole.choices[0].message.content == "You said: I am Ada Zorblatt, [US_SSN]"
    stream = client.chat.completions.create(**ask, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream)
    assert text == "You said: I am Ada Zorblatt, [US_SSN]"
    assert not any(b"orblatt" in seen or b"3391" in seen for seen in upstream.seen)
    assert len(upstream.seen) == 2


def test_a_client_for_nobody_in_particular_is_for_a_hosted_api(
    make_guard: MakeGuard, upstream: Upstream
) -> None:
    """``OpenAI(http_client=guard.http_client())``, as the README has it: the hosted rules hold."""
    http = make_guard().http_client(transport=httpx2.MockTransport(upstream))
    client = openai.OpenAI(base_url="https://hosted.example/v1", api_key="k", http_client=http)
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": ASK}])
    assert answer.choices[0].message.content == "You said: I am Ada Zorblatt, [US_SSN]"
    assert b"orblatt" not in upstream.seen[0]


def test_the_anthropic_client_gets_its_own_words_back_too(
    make_guard: MakeGuard, upstream: Upstream
) -> None:
    """The other wire, streamed and not, with CRLF in its events."""
    http = make_guard().http_client(HOSTED, transport=httpx2.MockTransport(upstream))
    client = anthropic.Anthropic(api_key="k", base_url="http://h", http_client=http, max_retries=0)
    ask: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": ASK}]}
    whole: Any = client.messages.create(**ask)
    assert whole.content[0].text == "You said: I am Ada Zorblatt, [US_SSN]"
    with client.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == "You said: I am Ada Zorblatt, [US_SSN]"
    assert not any(b"orblatt" in seen for seen in upstream.seen)


def test_the_async_client_does_the_same(make_guard: MakeGuard, upstream: Upstream) -> None:
    """Recognisers run in a thread, so the loop goes on."""

    async def run() -> str | None:
        http = make_guard().async_http_client(HOSTED, transport=httpx2.MockTransport(upstream))
        client = openai.AsyncOpenAI(
            api_key="k", base_url="http://h/v1", http_client=http, max_retries=0
        )
        ask: Any = {"model": "m", "messages": [{"role": "user", "content": ASK}]}
        done = await client.chat.completions.create(**ask)
        return done.choices[0].message.content

    assert asyncio.run(run()) == "You said: I am Ada Zorblatt, [US_SSN]"
    assert b"orblatt" not in upstream.seen[0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/uploads"),
        ("POST", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/newest"),
        ("POST", "/v1/chat/completions?q=a"),
        ("GET", "/v1/files?after=Ada+Zorblatt"),
    ],
)
def test_an_unknown_endpoint_is_not_called(
    make_guard: MakeGuard, upstream: Upstream, method: str, path: str
) -> None:
    """Nobody inspects it, so nothing is sent; a query string is one too."""
    http = make_guard().http_client(HOSTED, transport=httpx2.MockTransport(upstream))
    with pytest.raises(UnknownEndpoint):
        http.request(method, f"http://h{path}", json={})
    assert upstream.seen == []


def test_a_body_that_is_not_json_is_not_sent(make_guard: MakeGuard, upstream: Upstream) -> None:
    """Multipart, text, compressed: unread."""
    http = make_guard().http_client(HOSTED, transport=httpx2.MockTransport(upstream))
    with pytest.raises(Unreadable):
        http.post("http://h/v1/chat/completions", content=b"Ada Zorblatt")
    assert upstream.seen == []
