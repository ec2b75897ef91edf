"""The engine's HTTP side over a small Llama: what a caller that leaves, or an end, does to a text
that waits to be embedded."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
import torch
from starlette.types import ASGIApp, Message
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sovereign.serve.engines.answer import Identity
from sovereign.serve.engines.app import create_app
from sovereign.serve.engines.batch import Batcher
from sovereign.serve.engines.constrain import Grammars
from sovereign.serve.engines.prompt import Prompter

WIDTH = 32


class Broken(torch.nn.Module):
    """A model without memory for another step."""

    device = torch.device("cpu")

    def get_decoder(self) -> Any:
        raise MemoryError


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    torch.manual_seed(5)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=WIDTH, num_attention_heads=2, **sizes)).eval()


def _engine(model: Any) -> tuple[ASGIApp, Batcher]:
    inner = Tokenizer(WordLevel({f"w{n}": n for n in range(WIDTH)}, "w0"))
    inner.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="w1")
    prompter = Prompter(tokenizer)
    batcher = Batcher(model, prompter.decode, frozenset({1}))
    grammars = Grammars(tokenizer, WIDTH, frozenset({1}))
    who = Identity("m", 64, "fp", 0)
    return create_app(who, prompter, batcher, grammars, threading.Event()), batcher


async def _embed(app: ASGIApp, texts: list[str], gone: asyncio.Event) -> tuple[int, Any]:
    """The status and the body of an answer to a caller that leaves at ``gone``."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/embeddings",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    body = json.dumps({"model": "m", "input": texts}).encode()
    coming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    said: list[Message] = []

    async def receive() -> Message:
        if coming:
            return coming.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    raw = b"".join(m.get("body", b"") for m in said)
    return said[0]["status"], json.loads(raw) if raw else None


def test_texts_of_a_caller_that_left_are_not_embedded(llama: LlamaForCausalLM) -> None:
    """The one that waits loses its place, and those after it never take one."""

    async def leave() -> None:
        app, batcher = _engine(llama)
        gone = asyncio.Event()
        asked = asyncio.create_task(_embed(app, ["w3"] * 5, gone))
        while not batcher._embeds:
            await asyncio.sleep(0)
        gone.set()
        assert await asyncio.wait_for(asked, 10) == (499, None)
        [(_, waiting)] = batcher._embeds
        assert waiting.cancelled()

    asyncio.run(leave())


def test_an_engine_that_ends_tells_those_whose_texts_wait(llama: LlamaForCausalLM) -> None:
    """As it tells those whose answers do, so that they ask another."""

    async def end() -> None:
        app, batcher = _engine(llama)
        asked = asyncio.create_task(_embed(app, ["w3"], asyncio.Event()))
        while not batcher._embeds:
            await asyncio.sleep(0)
        batcher._closing = True
        batcher.start()
        status, body = await asyncio.wait_for(asked, 10)
        assert (status, body["error"]["code"]) == (503, "shutting_down")

    asyncio.run(end())


def test_a_text_that_there_is_no_memory_for_is_told_so() -> None:
    """Less at once may go: it is not the request that is wrong."""

    async def lack() -> None:
        app, batcher = _engine(Broken())
        batcher.start()
        status, body = await asyncio.wait_for(_embed(app, ["w3"], asyncio.Event()), 10)
        batcher.close()
        assert (status, body["error"]["code"]) == (503, "out_of_memory")

    asyncio.run(lack())


def test_an_embedding_is_of_each_text(llama: LlamaForCausalLM) -> None:
    """In their order, of length one."""

    async def ask() -> None:
        app, batcher = _engine(llama)
        batcher.start()
        status, body = await asyncio.wait_for(_embed(app, ["w3", "w4 w5"], asyncio.Event()), 10)
        batcher.close()
        assert status == 200
        assert body["usage"]["prompt_tokens"] == 3
        for row in body["data"]:
            assert abs(sum(x * x for x in row["embedding"]) - 1) < 1e-5

    asyncio.run(ask())
