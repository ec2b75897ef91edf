"""Engines that answer one request after the other: how they say that too many wait."""

from __future__ import annotations

import asyncio
import threading

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sovereign.serve.engines import single


class Slow:
    """Answers when it is let."""

    path = "/v1/slow"

    def __init__(self) -> None:
        self.let = threading.Event()

    async def __call__(self, request: Request, turns: single.Turns) -> Response:
        await turns.take(lambda: self.let.wait(10))
        return PlainTextResponse("done")


class Broken:
    """Has no memory."""

    path = "/v1/broken"

    async def __call__(self, request: Request, turns: single.Turns) -> Response:
        raise MemoryError


def test_who_finds_too_many_waiting_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 503 with Retry-After, which SDKs and the gateway heed; those that wait are answered."""
    monkeypatch.setattr(single, "WAITING", 1)
    slow = Slow()

    async def crowd() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=single.create_app("m", slow))
        async with httpx2.AsyncClient(transport=transport, base_url="http://e") as client:
            asked = [asyncio.create_task(client.post("/v1/slow")) for _ in range(3)]
            refused = await asked[2]
            slow.let.set()
            return [refused, *(await asyncio.gather(*asked[:2]))]

    refused, *answered = asyncio.run(crowd())
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "overloaded"
    assert [answer.status_code for answer in answered] == [200, 200]


def test_a_lack_of_memory_is_explained() -> None:
    """And says when to come back, too."""

    async def ask() -> httpx2.Response:
        app = single.create_app("m", Broken())
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://e") as client:
            return await client.post("/v1/broken")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "out_of_memory"
