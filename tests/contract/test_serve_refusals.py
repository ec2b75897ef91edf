"""What the embedded engine refuses, bounds and hides: over its real socket, with the real model."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serve_wire import CONTEXT, NAME, ask, said

from sovereign.serve.supervise import Supervisor

pytestmark = pytest.mark.model

# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"n": 9}, "n"),
        ({"logit_bias": {"49152": 5}}, "logit_bias"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"top_k": 3}, "top_k"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0]",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_what_cannot_be_honoured_is_a_400_in_the_wires_shape(
    http: httpx2.Client, fields: dict[str, Any], param: str
) -> None:
    """Never a 200 with another answer."""
    answer = ask(http, **fields)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


def test_a_prompt_over_the_context_is_refused_with_both_numbers(http: httpx2.Client) -> None:
    """Cut silently, it would lose the question or the instructions."""
    long = [{"role": "user", "content": "word " * 600}]
    answer = ask(http, messages=long)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert str(CONTEXT) in error["message"]
    assert any(int(n) > 600 for n in error["message"].split() if n.isdigit())


def test_an_answer_that_would_not_fit_is_refused_before_it_begins(http: httpx2.Client) -> None:
    """The limit that was asked for cannot be reached."""
    error = ask(http, max_tokens=CONTEXT).json()["error"]
    assert error["code"] == "context_length_exceeded"


def test_without_a_limit_the_answer_may_fill_the_context(http: httpx2.Client) -> None:
    """And ends there with length."""
    prompt = "one two three four five six seven eight nine ten " * 46
    answer = ask(http, messages=[{"role": "user", "content": prompt}], max_tokens="absent")
    usage = answer.json()["usage"]
    assert usage["total_tokens"] <= CONTEXT


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"model":"smol","model":"x"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b'{"a":"' + b"x" * 10_000_001 + b'"}', "application/json", 413),
    ],
    ids=["cut", "list", "duplicate", "bytes", "text", "form", "huge"],
)
def test_a_body_that_is_not_json_or_too_large_is_refused(
    http: httpx2.Client, raw: bytes, kind: str, status: int
) -> None:
    """In the wire's shape, so that an SDK can show it."""
    answer = http.post("/v1/chat/completions", content=raw, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_page_in_a_browser_is_not_served(http: httpx2.Client) -> None:
    """Any site could otherwise use a model that listens at a loopback port."""
    answer = http.post("/v1/chat/completions", json={}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


def test_compressed_bodies_are_refused(http: httpx2.Client) -> None:
    """What the length bound saw must be what is read."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = http.post("/v1/chat/completions", content=b"x", headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/rerank", 404),
        ("GET", "/docs", 404),
        ("GET", "/metrics", 404),
        ("POST", "/reset", 404),
        ("GET", "/v1/models/other", 404),
    ],
)
def test_nothing_else_is_served(http: httpx2.Client, method: str, path: str, status: int) -> None:
    """No page, no metrics, no reset: each would be a door that nobody watches."""
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


# ---- load, cancellation, walls -----------------------------------------------------------------


def _load(http: httpx2.Client) -> tuple[int, int]:
    health = http.get("/health").json()
    return health["running"], health["waiting"]


def _until(condition: Any, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(done)


LONG = [{"role": "user", "content": "Write a long story about the sea."}]


def test_a_stream_whose_caller_leaves_is_cancelled(http: httpx2.Client) -> None:
    """Nobody pays for tokens that nobody reads."""
    body = {"model": NAME, "messages": LONG, "stream": True, "temperature": 0}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
        assert _load(http) == (1, 0)
    assert _until(lambda: _load(http) == (0, 0))


def test_a_whole_answer_whose_caller_leaves_is_cancelled(engine: Supervisor) -> None:
    """Also before a byte of the answer was sent."""
    transport = httpx2.HTTPTransport(uds=str(engine.socket))
    with httpx2.Client(transport=transport, base_url="http://engine") as watcher:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(engine.socket))
            body = json.dumps({"model": NAME, "messages": LONG, "temperature": 0}).encode()
            caller.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            assert _until(lambda: _load(watcher) == (1, 0))
        assert _until(lambda: _load(watcher) == (0, 0))


def test_500_clients_at_once_are_bounded_and_the_others_unharmed(
    engine: Supervisor, http: httpx2.Client
) -> None:
    """Eight run and 64 wait; every other one hears 503 with Retry-After. A stream that was there
    before them goes on, and when they all have left, the engine answers as before."""
    body = {"model": NAME, "messages": LONG, "stream": True, "max_tokens": 400}
    body["logit_bias"] = {"0": -100, "2": -100}  # nobody ends, and makes room, while others come

    async def crowd() -> list[httpx2.Response]:
        transport = httpx2.AsyncHTTPTransport(
            uds=str(engine.socket), limits=httpx2.Limits(max_connections=None)
        )
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://engine", timeout=60
        ) as many:
            posts = [
                asyncio.create_task(many.post("/v1/chat/completions", json=body))
                for _ in range(500)
            ]
            heard: list[httpx2.Response] = []
            for answer in asyncio.as_completed(posts, timeout=60):
                heard.append(await answer)
                if len(heard) == 500 - 71:
                    break
            for post in posts:
                post.cancel()
            await asyncio.gather(*posts, return_exceptions=True)
            return heard

    with http.stream("POST", "/v1/chat/completions", json=body) as before:
        lines = before.iter_lines()
        next(lines)
        for answer in asyncio.run(crowd()):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["code"] == "overloaded"
        for _ in range(8):
            assert "error" not in next(lines)
    assert _until(lambda: _load(http) == (0, 0))
    assert "Paris" in said(ask(http))


def test_a_caller_who_reads_nothing_holds_nobody_up(
    engine: Supervisor, http: httpx2.Client
) -> None:
    """His answer is made and waits in his own connection; it ends with his limit, or his going."""
    body = {"model": NAME, "prompt": "Once", "stream": True, "max_tokens": 120, "logprobs": 5}
    raw = json.dumps({**body, "logit_bias": {"0": -100, "2": -100}}).encode()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        caller.connect(str(engine.socket))
        caller.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
            b"\r\nContent-Length: %d\r\n\r\n%s" % (len(raw), raw)
        )
        assert _until(lambda: _load(http) == (1, 0))
        assert "Paris" in said(ask(http))
        assert _until(lambda: _load(http) == (0, 0), 60)
        assert "Paris" in said(ask(http))


def test_the_socket_is_for_its_owner_only(engine: Supervisor) -> None:
    """0600 in a 0700 folder: another account on the machine cannot talk to the model."""
    assert stat.S_IMODE(engine.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(engine.socket.parent.stat().st_mode) & 0o077 == 0


def test_the_engine_has_no_network(engine: Supervisor) -> None:
    """Its own network namespace, with a loopback that is down. It could not call home if it
    wanted to."""
    pid = engine.pid
    ours, its = (Path(f"/proc/{p}/ns/net").readlink() for p in (os.getpid(), pid))
    if ours == its:
        pytest.skip("this kernel gives no empty network namespace")
    devices = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [d.split(":")[0].strip() for d in devices] == ["lo"]


def test_a_crash_of_the_engine_writes_no_prompt_to_a_disk(engine: Supervisor) -> None:
    """A core file would hold every prompt in memory."""
    limits = Path(f"/proc/{engine.pid}/limits").read_text().splitlines()
    core = next(x for x in limits if x.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_the_engine_knows_no_secret_of_ours(engine: Supervisor) -> None:
    """Its environment is a list of what it needs: hub off, telemetry off, no API keys."""
    raw = Path(f"/proc/{engine.pid}/environ").read_bytes().decode()
    env = dict(e.split("=", 1) for e in raw.split("\0") if e)
    assert env["HF_HUB_OFFLINE"] == env["DO_NOT_TRACK"] == "1"
    assert not [k for k in env if k.endswith(("KEY", "TOKEN", "SECRET"))]


def test_no_text_of_a_request_is_in_the_engines_output(engine: Supervisor) -> None:
    """After all that was said above."""
    said = "\n".join(engine.tail)
    assert "serving smol" in said
    assert not any(word in said for word in ("France", "Zebulon", "HACKED", "story"))
