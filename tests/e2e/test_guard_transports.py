"""SDKs guarded in process, against a recording server: forms, what is kept there, and the hub's
client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from sovereign.errors import Refused, UnknownEndpoint, Unreadable
from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Destination

HOSTED = Destination("openai", "hosted")
NAME, MAIL = "Maria Keller", "maria.keller@northvale.org"


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(load_policy(preset="direct"), build(), key=b"k" * 32)


@pytest.fixture(scope="module")
def upstream(stand_in: Callable[[], Any]) -> Any:
    return stand_in()


@pytest.fixture
def client(guard: Guard, upstream: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key="k",
        base_url=f"{upstream.url}/v1",
        http_client=guard.http_client(HOSTED),
        max_retries=0,
    ) as sdk:
        yield sdk


def test_a_form_is_read_and_written_again(client: openai.OpenAI, upstream: Any) -> None:
    """A file's text and its name; with a boundary of our own."""
    csv = f"name,mail\n{NAME},{MAIL}\n".encode()
    held = client.files.create(file=(f"{MAIL}.csv", csv, "text/csv"), purpose="user_data")
    sent = upstream.received()[-1]
    assert b"Keller" not in sent["body"]
    assert b"northvale" not in sent["body"]
    assert b"name,mail\nPERSON_" in sent["body"]
    assert "boundary=sovereign-" in dict(sent["headers"])["content-type"]
    assert client.files.retrieve(held.id).id == held.id
    with pytest.raises(Unreadable):
        client.files.create(file=("a.bin", bytes(range(256))), purpose="user_data")


def test_what_was_left_through_it_may_be_named(client: openai.OpenAI, upstream: Any) -> None:
    """Its turns were read when they left; what others left was not."""
    first = client.responses.create(model="m", input=f"I am {NAME}")
    assert NAME in first.output_text
    assert client.responses.create(model="m", input="And?", previous_response_id=first.id).id
    before = len(upstream.received())
    with pytest.raises(Unreadable):
        client.responses.create(model="m", input="And?", previous_response_id="resp_others")
    with pytest.raises(Refused):
        client.files.retrieve("patient-512-47-3391")
    with pytest.raises(UnknownEndpoint):
        client.fine_tuning.jobs.create(training_file="file-1", model="m")
    assert len(upstream.received()) == before


def test_the_hubs_client_is_guarded_too(guard: Guard, upstream: Any) -> None:
    """huggingface_hub's InferenceClient, whole, streamed and async; other tasks are not known."""
    import huggingface_hub as hub

    messages = [{"role": "user", "content": f"I am {NAME}"}]
    hub.set_client_factory(lambda: guard.http_client(HOSTED))
    hub.set_async_client_factory(lambda: guard.async_http_client(HOSTED))
    try:
        client = hub.InferenceClient(base_url=f"{upstream.url}/v1", api_key="k")
        done = client.chat_completion(messages, model="m")
        assert NAME in str(done.choices[0].message.content)
        pieces = client.chat_completion(messages, model="m", stream=True)
        said = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
        assert NAME in said

        async def ask() -> str:
            async with hub.AsyncInferenceClient(
                base_url=f"{upstream.url}/v1", api_key="k"
            ) as inner:
                answer = await inner.chat_completion(messages, model="m")
                return str(answer.choices[0].message.content)

        assert NAME in asyncio.run(ask())
        before = len(upstream.received())
        other = hub.InferenceClient(model=f"{upstream.url}/models/x", api_key="k")
        with pytest.raises(UnknownEndpoint):
            other.text_classification(f"I am {NAME}")
        assert len(upstream.received()) == before
    finally:
        from huggingface_hub.utils import _http

        hub.set_client_factory(_http.default_client_factory)
        hub.set_async_client_factory(_http.default_async_client_factory)
    assert all(b"Keller" not in r["body"] for r in upstream.received())
