"""Bytes that no SDK would send, and a gateway that is told to stop: nothing hangs or leaks."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import time
from typing import Any

import openai
import pytest

CHAT = b"/v1/chat/completions"
BODY = json.dumps({"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}]}).encode()


def _exchange(gateway: Any, raw: bytes, *, wait: float = 5) -> bytes:
    """Send raw bytes; the first answer to them, or what there is when the gateway falls silent."""
    host, port = gateway.url.removeprefix("http://").split(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=wait) as line:
        line.sendall(raw)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := line.recv(65536):
                got += piece
                head, _, body = got.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head)
                if length and len(body) >= int(length[1]):
                    break
    return got


def _head(gateway: Any, *more: bytes, path: bytes = CHAT) -> bytes:
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: x",
        b"Content-Type: application/json",
        b"Authorization: Bearer " + gateway.key.encode(),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_a_chunked_body_is_read_and_bounded(tiny: Any) -> None:
    """Without a declared length the bound holds while reading."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, bytes([b])) for b in BODY) + b"0\r\n\r\n"
    assert b" 200 " in _exchange(tiny, _head(tiny, b"Transfer-Encoding: chunked") + chunks)
    big = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    got = _exchange(tiny, _head(tiny, b"Transfer-Encoding: chunked") + big * 5)
    assert got.startswith(b"HTTP/1.1 413 ")


SMUGGLED = {
    "two lengths": [b"Content-Length: 3", b"Content-Length: 90"],
    "length and chunked": [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
    "a negative length": [b"Content-Length: -1"],
    "a folded header": [b"X-A: 1\r\n Content-Length: 3"],
    "a bare newline": [b"X-A: 1\nX-B: 2\rX-C: 3"],
    "an odd encoding": [b"Transfer-Encoding: xchunked"],
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_smuggled_request_reaches_nobody(tiny: Any, name: str) -> None:
    """Where two readers could disagree about a body's end, nothing goes on."""
    before = len(tiny.hosted.received())
    got = _exchange(tiny, _head(tiny, *SMUGGLED[name]) + b"abc" + BODY, wait=0.5)
    assert b" 200 " not in got
    assert len(tiny.hosted.received()) == before


HOSTILE = {
    "a deep bomb": b'{"model":"gpt-test","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "UTF-16": BODY.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "trailing data": BODY + b"{}",
    "NaN": BODY[:-1] + b',"temperature":NaN}',
    "a lone surrogate": BODY[:-1] + b',"user":"\\ud800"}',
    "a huge number": BODY[:-1] + b',"seed":1' + b"0" * 50_000 + b"}",
    "no body": b"",
    "not UTF-8": BODY.replace(b"Hi", b"\xff\xfe"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_with_an_error_of_the_wire(tiny: Any, name: str) -> None:
    """Shaped and recorded; nothing is sent, and the gateway goes on."""
    body = HOSTILE[name]
    before = len(tiny.hosted.received())
    length = b"Content-Length: %d" % len(body)
    got = _exchange(tiny, _head(tiny, length) + body)
    status = b"413" if name == "a deep bomb" else b"400"
    assert got.startswith(b"HTTP/1.1 " + status), got[:80]
    error = json.loads(got.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == ("too_large" if name == "a deep bomb" else "unreadable")
    assert len(tiny.hosted.received()) == before


def test_a_caller_that_leaves_before_sending_all_is_no_request(tiny: Any) -> None:
    """Half a body is never read as a whole one."""
    before = len(tiny.hosted.received())
    host, port = tiny.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(_head(tiny, b"Content-Length: 9999") + BODY)
        time.sleep(0.1)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        last = tiny.records()[-1]
        if last.get("code") == "client_gone":
            break
        time.sleep(0.02)
    assert (last["type"], last["code"]) == ("request.refusal", "client_gone")
    assert len(tiny.hosted.received()) == before


def test_a_stop_lets_running_answers_end(gateway_at: Any) -> None:
    """SIGTERM: the stream under way is whole, its result and the stop are in the log, exit 0."""
    gateway = gateway_at(tiny=True).start()
    text = "I am Maria Keller. " * 4
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
        messages: Any = [{"role": "user", "content": text}]
        stream = client.chat.completions.create(
            model="standin-slow", messages=messages, stream=True
        )
        said = next(iter(stream)).choices[0].delta.content or ""
        gateway.process.send_signal(signal.SIGTERM)
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    assert said == f"You said: {text}"
    assert gateway.process.wait(timeout=20) == 0
    kinds = [r["type"] for r in gateway.records()]
    assert kinds[-3:] == ["request.result", "gateway.stop", "log.close"]
