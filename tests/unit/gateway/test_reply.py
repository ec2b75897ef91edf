"""A streamed answer on its way back: what ends it, and what must not hold it for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any, cast

import pytest

from sovereign.errors import UpstreamFailed
from sovereign.gateway import asked as asked_module
from sovereign.gateway import reply
from sovereign.gateway.asked import Asked, ClientGone
from sovereign.gateway.clear import Cleared
from sovereign.gateway.given import Gives
from sovereign.gateway.http1 import Broke
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.pool import Answer, Body
from sovereign.gateway.translate import TRANSLATIONS
from sovereign.gateway.upstreams import Upstream
from sovereign.guard import Restorer
from sovereign.guard.endpoints import match
from sovereign.guard.shapes import SHAPES
from sovereign.types import Action, Destination, Verdict

TO = Destination("openai", "hosted")
CALL = match("POST", "/v1/chat/completions")
assert CALL is not None


def _cleared(shape: str = "openai.chat", *, translated: bool = False) -> Cleared:
    return Cleared(
        upstream=Upstream(TO, "openai", "http://x/v1", ("m",), 1.0),
        shape=SHAPES[shape],
        url="http://x/v1",
        headers={},
        raw=b"{}",
        sha256="",
        stream=True,
        translation=TRANSLATIONS["anthropic.messages"] if translated else None,
        rerouted=False,
        verdict=Verdict(Action.PSEUDONYMIZE, TO, "p"),
        restorer=Restorer({"PERSON_AAAA": "Maria"}),
        endpoint=CALL.endpoint,
    )


def _asked(wire: str = "openai") -> Asked:
    return Asked("req_1", "POST", "/v1/chat/completions", b"", {}, wire)  # type: ignore[arg-type]


class _Bytes:
    """A body: pieces that come one by one, then its end, or what broke it."""

    def __init__(self, chunks: list[bytes], fail: Exception | None) -> None:
        self._chunks, self._fail = [*chunks], fail

    async def readany(self) -> bytes:
        if self._chunks:
            return self._chunks.pop(0)
        if self._fail is not None:
            raise self._fail
        return b""


async def _run(
    chunks: list[bytes],
    *,
    fail: Exception | None = None,
    into: list[bytes] | None = None,
    **how: Any,
) -> tuple[bytes, list[str]]:
    """What the caller gets of ``chunks``, and the outcomes that were told; ``into`` gets it piece
    by piece."""
    got: list[bytes] = [] if into is None else into
    outcomes: list[str] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        got.append(message.get("body", b""))

    asked = _asked("anthropic" if how.get("translated") else "openai")
    cleared = _cleared(**how)
    streamed = reply._Streamed(
        asked,
        cleared,
        send,
        lambda a, outcome, status: outcomes.append(outcome),
        Gives(asked, cleared, Ledger()),
    )
    body = cast("Body", _Bytes(chunks, fail))
    await streamed.run(Answer(200, "text/event-stream", None, body))
    return b"".join(got), outcomes


def _chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def _said(raw: bytes) -> str:
    datas = [line[6:] for line in raw.split(b"\n") if line.startswith(b"data: {")]
    choices = [c for d in datas for c in json.loads(d).get("choices", [])]
    return "".join(c["delta"].get("content", "") for c in choices)


def test_a_whole_stream_is_restored_and_ok() -> None:
    """A stand-in that was cut in two comes back as the value."""
    chunks = [_chunk("I am PERSON_"), _chunk("AAAA."), _chunk("", "stop"), b"data: [DONE]\n\n"]
    raw, outcomes = asyncio.run(_run(chunks))
    assert _said(raw) == "I am Maria."
    assert raw.endswith(b"data: [DONE]\n\n")
    assert outcomes == ["ok"]


def test_the_first_token_does_not_wait_for_what_came_with_it() -> None:
    """All of an answer may come at once. Its beginning goes out event by event, the rest at once,
    and nothing is said twice or lost."""
    texts = [str(n) for n in range(reply.EARLY + 20)]
    got: list[bytes] = []
    whole = b"".join(map(_chunk, texts)) + b"data: [DONE]\n\n"
    raw, outcomes = asyncio.run(_run([whole], into=got))
    first = [piece for piece in got if piece][: reply.EARLY]
    assert [_said(piece) for piece in first] == texts[: reply.EARLY]
    assert len([piece for piece in got if piece]) == reply.EARLY + 1
    assert _said(raw) == "".join(texts)
    assert raw.endswith(b"data: [DONE]\n\n")
    assert outcomes == ["ok"]


def test_an_event_in_which_nothing_is_restored_goes_out_as_it_came() -> None:
    """Spaces and escapes too; one of several lines becomes one of one line."""
    again = _chunk(" again").replace(b"again", b"ag\\u00e4in")
    lines = again.replace(b', "index"', b',\ndata: "index"').replace(b'{"choices"', b'{ "choices"')
    raw, outcomes = asyncio.run(_run([_chunk("hello"), again, lines, b"data: [DONE]\n\n"]))
    assert again in raw
    assert _said(raw) == "hello ag\u00e4in ag\u00e4in"
    assert raw.count(b"\n") == 8
    assert outcomes == ["ok"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_not_passed_on(number: str) -> None:
    """Python reads it, and no caller's parser does."""
    bad = b'data: {"choices": [], "x": ' + number.encode() + b"}\n\n"
    raw, outcomes = asyncio.run(_run([_chunk("a"), bad]))
    assert number.encode() not in raw
    assert outcomes == ["upstream_failed"]


@pytest.mark.parametrize("translated", [False, True])
@pytest.mark.parametrize(
    "rest",
    [b"", b"data: {nonsense\n\n", b"data: \xff\n\n", b'data: {"error": {"message": "no"}}\n\n'],
    ids=["cut", "not JSON", "not UTF-8", "its own error"],
)
def test_a_stream_that_breaks_ends_in_an_error_event(rest: bytes, translated: bool) -> None:
    """What was held back is shown, then the error; nothing that says it is whole."""
    raw, outcomes = asyncio.run(_run([_chunk("I am PERSON_"), rest], translated=translated))
    assert b'"error"' in raw.split(b"data: ")[-1]
    assert b"[DONE]" not in raw
    assert b"message_stop" not in raw
    assert outcomes == ["upstream_failed"]


def test_a_stream_that_never_begins_is_a_plain_error() -> None:
    """As long as nothing was sent to the caller there can still be a status."""
    with pytest.raises(UpstreamFailed):
        asyncio.run(_run([]))
    with pytest.raises(Broke):  # which the pool names
        asyncio.run(_run([], fail=Broke()))


def test_a_caller_who_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure has an end: a stalled caller must not hold one of the few places."""
    monkeypatch.setattr(asked_module, "STALL_S", 0.01)

    async def scene() -> None:
        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(60)

        asked, cleared = _asked(), _cleared()
        gives = Gives(asked, cleared, Ledger())
        streamed = reply._Streamed(asked, cleared, send, lambda a, o, s: None, gives)
        with pytest.raises(ClientGone):
            await streamed._write(b"x")

    asyncio.run(scene())
