"""Each bad input of the road, through real processes: a shaped error, a record, nothing sent."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]

    @property
    def request(self) -> str:
        return str(self.headers["x-sovereign-request"])


def ask(
    gateway: Any,
    body: Any = HELLO,
    path: str = CHAT,
    *,
    key: str | None = "its own",
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    if key is not None:
        sent["Authorization"] = f"Bearer {gateway.key if key == 'its own' else key}"
    url = gateway.url + path
    request = urllib.request.Request(url, data=raw or None, headers=sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as e:
        return Answer(e.code, e.headers, e.read())


def chat(text: str, model: str = "gpt-test", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no key": ({"key": None}, 401, "invalid_api_key"),
    "a wrong key": ({"key": "sk-sovereign-wrong"}, 401, "invalid_api_key"),
    "an unknown model": ({"body": chat("x", "gpt-unheard-of")}, 404, "model_not_found"),
    "no model": ({"body": {"messages": []}}, 404, "model_not_found"),
    "broken JSON": ({"body": b'{"model": "gpt-test", '}, 400, "unreadable"),
    "not an object": ({"body": b"[1]"}, 400, "unreadable"),
    "duplicate keys": (
        {"body": b'{"model": "gpt-test", "messages": [], "messages": [{}]}'},
        400,
        "unreadable",
    ),
    "a body too large": ({"body": chat("x" * 300_000)}, 413, "too_large"),
    "gzip": (
        {
            "body": gzip.compress(json.dumps(HELLO).encode()),
            "headers": {"Content-Encoding": "gzip"},
        },
        400,
        "unreadable",
    ),
    "a wrong content type": ({"headers": {"Content-Type": "text/plain"}}, 400, "unreadable"),
    "a form": ({"headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, "unreadable"),
    "an unknown endpoint": ({"path": "/v1/files"}, 404, "unknown_endpoint"),
    "an unknown method": ({"method": "PUT"}, 404, "unknown_endpoint"),
    "a trailing slash": ({"path": CHAT + "/"}, 404, "unknown_endpoint"),
    "a web socket": (
        {
            "path": "/v1/realtime",
            "method": "GET",
            "body": b"",
            "headers": {"Connection": "Upgrade", "Upgrade": "websocket"},
        },
        404,
        "unknown_endpoint",
    ),
    "a query string": ({"path": CHAT + "?patient=Maria+Keller"}, 400, "unreadable"),
    "stream that is no boolean": ({"body": chat("x", stream="yes")}, 400, "unreadable"),
    "a failing recogniser": ({"body": chat("EXPLODE Maria Keller")}, 503, "recognizer_failed"),
    "what the policy blocks": ({"body": chat("TOPSECRET")}, 403, "refused_by_policy"),
    "blocked also inside": (
        {"body": chat("TOPSECRET", "local-test")},
        403,
        "refused_by_policy",
    ),
    "the other wire": ({"body": chat("x", "claude-test")}, 400, "unsupported"),
    "a body that a model inside cannot take over that wire": (
        {
            "path": "/v1/messages",
            "body": {**chat("x", "local-test"), "max_tokens": 1, "top_k": 3},
            "headers": {"anthropic-version": "2026-10-21"},
        },
        400,
        "unsupported",
    ),
    "an unknown version": (
        {"path": "/v1/messages", "headers": {"anthropic-version": "2019-01-01"}},
        400,
        "unreadable",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_recorded_and_nothing_sent(tiny: Any, name: str) -> None:
    """The error is shaped as its wire wants, the refusal is in the log, the upstreams saw nothing,
    and neither error nor log nor stderr repeats what the caller wrote."""
    how, status, code = REFUSED[name]
    before = len(tiny.hosted.received()) + len(tiny.local.received())
    answer = ask(tiny, **how)
    assert answer.status == status, answer.body
    if "/v1/messages" in how.get("path", ""):
        assert json.loads(answer.body)["type"] == "error"
        assert set(answer.error) == {"type", "message"}
    else:
        assert set(answer.error) == {"message", "type", "param", "code"}
        assert answer.error["code"] == code
    record = tiny.wait_for(answer.request, "request.refusal")
    assert (record["code"], record["status"]) == (code, status)
    assert int(answer.headers["x-sovereign-record"]) == tiny.records().index(record)
    assert [r["type"] for r in tiny.records(answer.request)] == ["request.refusal"]
    assert len(tiny.hosted.received()) + len(tiny.local.received()) == before
    for said in (answer.body.decode(), json.dumps(record), tiny.stderr()):
        assert "Maria" not in said
        assert "Traceback" not in said


UPSTREAM: dict[str, tuple[str, int]] = {
    "down": ("dead-test", 502),
    "hangs": ("standin-hang", 504),
    "half an answer": ("standin-half", 502),
    "not JSON": ("standin-garbage", 502),
    "a redirect": ("standin-redirect", 502),
    "takes not our key": ("standin-401", 502),
    "429": ("standin-429", 429),
    "500": ("standin-500", 500),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", UPSTREAM)
def test_a_failing_destination_is_an_error_and_a_result(tiny: Any, name: str, stream: bool) -> None:
    """Intent, then a result that says upstream_failed; the caller gets an error of its own wire,
    and the SDK raises."""
    model, status = UPSTREAM[name]
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key=tiny.key, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "I am Maria Keller"}]
        with pytest.raises(openai.APIError) as raised:
            reply: Any = client.chat.completions.create(
                model=model, messages=messages, stream=stream
            )
            list(reply)
    if isinstance(raised.value, openai.APIStatusError):
        assert raised.value.status_code == status
        request = raised.value.response.headers["x-sovereign-request"]
        if status in (429, 500):
            assert "I am Maria Keller" in raised.value.message, "its own words, restored"
    else:
        assert (name, stream) == ("half an answer", True)
        request = tiny.records()[-1]["request"]
    result = tiny.wait_for(request, "request.result")
    assert result["outcome"] == "upstream_failed"
    types = [r["type"] for r in tiny.records(request)]
    assert types == ["request.intent", "request.result"]


@pytest.mark.parametrize("model", ["claude-standin-half", "local-standin-half"])
def test_half_a_stream_is_an_error_on_the_anthropic_wire_too(tiny: Any, model: str) -> None:
    """Also where the stream is translated: the SDK raises, it does not take half for whole."""
    client = anthropic.Anthropic(base_url=tiny.url, api_key=tiny.key, max_retries=0)
    messages: Any = [{"role": "user", "content": "I am Maria Keller"}]
    with (
        client,
        pytest.raises(anthropic.APIError),
        client.messages.stream(model=model, max_tokens=9, messages=messages) as events,
    ):
        for _ in events.text_stream:
            pass


@pytest.mark.parametrize("model", ["claude-standin-500", "local-standin-500"])
def test_an_upstream_error_has_the_callers_shape(tiny: Any, model: str) -> None:
    """Anthropic's SDK gets Anthropic's shape, whatever the destination said."""
    client = anthropic.Anthropic(base_url=tiny.url, api_key=tiny.key, max_retries=0)
    messages: Any = [{"role": "user", "content": "I am Maria Keller"}]
    with client, pytest.raises(anthropic.InternalServerError) as raised:
        client.messages.create(model=model, max_tokens=9, messages=messages)
    assert "I am Maria Keller" in raised.value.message


def test_local_keeps_the_request_inside_and_says_so(tiny: Any) -> None:
    """A finding that must stay inside moves the whole request to the local model, on both wires."""
    before = len(tiny.hosted.received())
    answer = ask(tiny, chat("KEEPINSIDE Maria Keller"))
    assert answer.status == 200
    assert answer.headers["x-sovereign-verdict"] == "local"
    assert answer.headers["x-sovereign-destination"] == "inside"
    assert json.loads(answer.body)["model"] == "local-test"
    assert b"Maria Keller" in answer.body
    intent = tiny.wait_for(answer.request, "request.intent")
    assert (intent["rerouted"], intent["side"], intent["verdict"]) == (True, "local", "local")
    body = {**chat("KEEPINSIDE", "claude-test"), "max_tokens": 9}
    answer = ask(tiny, body, "/v1/messages")
    assert json.loads(answer.body)["content"][0]["text"] == "You said: KEEPINSIDE"
    assert len(tiny.hosted.received()) == before
    assert tiny.local.received()[-1]["path"] == CHAT


IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"


def test_what_cannot_be_read_stays_inside(tiny: Any) -> None:
    """This policy says ``unreadable = "local"``: an image goes to the local model as it is or, over
    a wire that cannot carry it there, nowhere."""
    before = len(tiny.hosted.received())
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    answer = ask(tiny, {"model": "gpt-test", "messages": [{"role": "user", "content": parts}]})
    assert (answer.status, answer.headers["x-sovereign-destination"]) == (200, "inside")
    assert IMAGE.encode() in tiny.local.received()[-1]["body"]
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE.partition(",")[2]}
    block = {"type": "image", "source": source}
    body = {
        "model": "claude-test",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [block]}],
    }
    answer = ask(tiny, body, "/v1/messages")
    assert answer.status == 400
    assert tiny.wait_for(answer.request, "request.refusal")["code"] == "unsupported"
    assert len(tiny.hosted.received()) == before


def test_a_caller_who_hangs_up_is_recorded(tiny: Any) -> None:
    """The upstream is let go, and the result says client_gone."""
    host, port = tiny.url.removeprefix("http://").split(":")
    body = json.dumps(chat("x " * 200, "standin-slow", stream=True)).encode()
    with socket.create_connection((host, int(port))) as line:
        line.sendall(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tiny.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = line.recv(4096).decode()
    request = next(h for h in head.split("\r\n") if h.startswith("x-sovereign-request")).split()[1]
    assert tiny.wait_for(request, "request.result")["outcome"] == "client_gone"


def test_a_revoked_key_is_refused_without_a_restart(gateway_at: Any, tiny: Any) -> None:
    """The gateway sees the file change; a new key works at once, for its models only."""
    made = tiny.run("keys", "create", "--team", "it", "--models", "gpt-*", "--json")
    new = json.loads(made.stdout)
    assert ask(tiny, key=new["key"]).status == 200
    answer = ask(tiny, chat("x", "local-test"), key=new["key"])
    assert (answer.status, answer.error["code"]) == (403, "not_permitted")
    assert tiny.run("keys", "revoke", new["id"]).returncode == 0
    assert ask(tiny, key=new["key"]).status == 401
    kinds = [r["type"] for r in tiny.records() if r.get("key_id") == new["id"]]
    assert kinds[0] == "key.create"
    assert kinds[-1] == "key.revoke"


def test_over_the_limit_callers_are_told_to_come_back(gateway_at: Any) -> None:
    """503 with Retry-After, recorded, once max_concurrent requests are under way."""
    gateway = gateway_at(tiny=True, max_concurrent=2).start()
    slow = chat("x " * 60, "standin-slow")
    threads = [threading.Thread(target=ask, args=(gateway, slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.15)
    answer = ask(gateway)
    for thread in threads:
        thread.join()
    assert (answer.status, answer.error["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert gateway.wait_for(answer.request, "request.refusal")["code"] == "overloaded"
    assert ask(gateway).status == 200
    assert gateway.stop() == 0


def test_without_a_log_nothing_is_sent(gateway_at: Any) -> None:
    """The log is taken away under a running gateway: 503, nothing reaches the upstream, and
    /readyz says so; once it is back, requests pass again."""
    gateway = gateway_at(tiny=True).start()
    assert ask(gateway).status == 200
    before = len(gateway.hosted.received())
    database = gateway.folder / "audit" / "log.db"
    database.rename(database.with_suffix(".away"))
    answer = ask(gateway)
    assert (answer.status, answer.error["code"]) == (503, "audit_unavailable")
    assert ask(gateway, chat("TOPSECRET")).status == 503
    assert len(gateway.hosted.received()) == before
    ready = ask(gateway, b"", "/readyz", method="GET")
    assert (ready.status, json.loads(ready.body)["log"]) == (503, "audit_unavailable")
    database.with_suffix(".away").rename(database)
    assert ask(gateway).status == 200
    assert gateway.stop() == 0


def test_health_readiness_and_metrics_hold_no_content(tiny: Any) -> None:
    """Open to anybody, so they tell only names of the configuration, and numbers."""
    ask(tiny, chat("I am Maria Keller"))
    assert ask(tiny, b"", "/healthz", method="GET", key=None).status == 200
    ready = ask(tiny, b"", "/readyz", method="GET", key=None)
    assert json.loads(ready.body) == {"ready": True, "guard": "ok", "log": "ok"}
    numbers = ask(tiny, b"", "/metrics", method="GET", key=None).body.decode()
    assert 'sovereign_verdicts_total{destination="openai",verb="pseudonymize"}' in numbers
    assert "Maria" not in numbers


def test_the_listener_does_not_open_on_what_is_wrong(gateway_at: Any) -> None:
    """A port in use, a log that cannot be written, a missing secret: one error line with a hint."""
    gateway = gateway_at(tiny=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failed = gateway.run("gateway", "--port", port)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: cannot listen at 127.0.0.1:{port}: address already")
    assert failed.stderr.splitlines()[1].startswith("hint: --port 0")
    assert len(failed.stderr.splitlines()) == 2


def test_a_recogniser_that_finds_nothing_keeps_the_door_shut(gateway_at: Any) -> None:
    """With no working guard there is no listener: the canary runs before it opens."""
    gateway = gateway_at(tiny=True)
    script = gateway.folder / "blind.py"
    source = gateway.command[1]
    script.write_text(
        f"import runpy\nmodule = runpy.run_path({source!r})\n"
        "module['PATTERNS'].clear()\nmodule['main']()\n"
    )
    ready = gateway.folder / "never.json"
    failed = subprocess.run(
        [sys.executable, str(script), str(gateway.config), str(ready)],
        env={**os.environ, "HOSTED_KEY": "x"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: the recognisers no longer find")
    assert not ready.exists()


def test_concurrent_callers_never_get_each_others_values(tiny: Any) -> None:
    """Sixteen callers at once, each with names of its own, streamed and not: each gets back exactly
    what it sent, and the hosted side none of it."""
    wrong: list[str] = []

    def call(number: int) -> None:
        client = openai.OpenAI(base_url=f"{tiny.url}/v1", api_key=tiny.key)
        with client:
            for turn in range(4):
                mine = f"Maria K{chr(97 + number)}x{number}t{turn}"
                messages: Any = [{"role": "user", "content": f"I am {mine}."}]
                if turn % 2:
                    chunks = client.chat.completions.create(
                        model="gpt-test", messages=messages, stream=True
                    )
                    said = "".join(c.choices[0].delta.content or "" for c in chunks)
                else:
                    reply = client.chat.completions.create(model="gpt-test", messages=messages)
                    said = reply.choices[0].message.content or ""
                if said != f"You said: I am {mine}.":
                    wrong.append(said)

    callers = [threading.Thread(target=call, args=(n,)) for n in range(16)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
    sent = b"".join(r["body"] for r in tiny.hosted.received())
    assert b"Maria K" not in sent


def test_gateway_imports_no_torch(free_port: Callable[[], int]) -> None:
    """A crash of torch must never take the door with it, nor its import slow it down."""
    code = (
        "import sys, sovereign.gateway.server, sovereign.gateway.standin, sovereign.cli.gateway;"
        "bad = {'torch', 'transformers', 'spacy', 'presidio_analyzer'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
