"""A body that comes too slowly, too large or not at all is given up in time."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from sovereign.errors import GatewayError, TooLarge
from sovereign.gateway import asked as module
from sovereign.gateway.asked import Asked, ClientGone, read_body


def _asked(length: str | None = None) -> Asked:
    headers = {} if length is None else {b"content-length": length.encode()}
    return Asked("req_1", "POST", "/v1/chat/completions", b"", headers, "openai")


def _reading(*messages: dict[str, Any], length: str | None = None, limit: int = 10) -> bytes:
    left = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError

    return asyncio.run(read_body(_asked(length), receive, limit))


def _piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_pieces_are_joined() -> None:
    assert _reading(_piece(b"one "), _piece(b"two", more=False)) == b"one two"


def test_a_body_that_trickles_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowloris: the first half came, the rest never does."""
    monkeypatch.setattr(module, "BODY_S", 0.05)
    with pytest.raises(GatewayError) as raised:
        _reading(_piece(b"half"))
    assert raised.value.status == 408


@pytest.mark.parametrize("length", ["11", None, "00", "-5", "9" * 30])
def test_a_body_over_the_limit_is_refused_whatever_it_declares(length: str | None) -> None:
    """At its header if that is honest, else with the byte that is too many."""
    with pytest.raises(TooLarge):
        _reading(_piece(b"x" * 6), _piece(b"x" * 6), _piece(b"", more=False), length=length)


def test_a_caller_who_hangs_up_in_the_middle_is_gone() -> None:
    with pytest.raises(ClientGone):
        _reading(_piece(b"half"), {"type": "http.disconnect"})
