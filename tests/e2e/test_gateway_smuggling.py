"""Requests that two readers of HTTP could see differently, and bodies without end: over raw
sockets, since no client library would send them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

HELLO = b'{"model":"gpt-test","messages":[{"role":"user","content":"Hello"}]}'
SECOND = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


@contextlib.contextmanager
def connected(tiny: Any) -> Iterator[socket.socket]:
    parts = urlsplit(tiny.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as raw:
        yield raw


def head(tiny: Any, *lines: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    own = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: x",
        b"Content-Type: application/json",
        b"Authorization: Bearer " + tiny.key.encode(),
    ]
    return b"\r\n".join([*own, *lines]) + b"\r\n\r\n"


def answered(raw: socket.socket) -> bytes:
    """The first answer, or nothing if the connection was closed."""
    raw.settimeout(20)
    got = b""
    with contextlib.suppress(OSError):
        while b"\r\n\r\n" not in got:
            piece = raw.recv(65536)
            if not piece:
                break
            got += piece
    return got


LENGTH = b"Content-Length: %d" % len(HELLO)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HELLO), HELLO)
SMUGGLED = {
    "length and chunks": ((LENGTH, CHUNKED), CHUNKS + SECOND),
    "two lengths": ((LENGTH, b"Content-Length: 5"), HELLO),
    "a length with a sign": ((b"Content-Length: +%d" % len(HELLO),), HELLO),
    "chunks spelled oddly": ((b"Transfer-Encoding: xchunked",), CHUNKS),
    "chunks twice": ((CHUNKED, b"Transfer-Encoding: identity"), CHUNKS),
    "a line feed in a header": ((LENGTH, b"X-Note: a\nX-Sovereign: b"), HELLO),
    "a folded header": ((LENGTH, b"X-Note: a\r\n more"), HELLO),
    "a NUL in a header": ((LENGTH, b"X-Note: a\0b"), HELLO),
    "a space before the colon": ((b"Content-Length : %d" % len(HELLO),), HELLO),
}


@pytest.mark.parametrize("trick", SMUGGLED)
def test_at_most_one_request_is_read_and_it_is_the_whole_one(tiny: Any, trick: str) -> None:
    """Either it is refused, or the body that was inspected is the body that left; what hides behind
    it is never sent."""
    lines, body = SMUGGLED[trick]
    before = len(tiny.hosted.received())
    with connected(tiny) as raw:
        raw.sendall(head(tiny, *lines) + body)
        got = answered(raw)
    time.sleep(0.2)
    sent = tiny.hosted.received()[before:]
    assert b" 200 " not in got.split(b"\r\n")[0] or len(sent) == 1, got[:200]
    assert all(r["body"].replace(b" ", b"") == HELLO for r in sent)
    assert not any(b"X-Note" in str(r["headers"]).encode() for r in sent)


def rss(tiny: Any) -> int:
    status = Path(f"/proc/{tiny.process.pid}/status").read_text()
    return int(next(x for x in status.splitlines() if x.startswith("VmRSS")).split()[1]) * 1024


def test_a_hundred_megabytes_are_not_taken(tiny: Any) -> None:
    """Announced or not: refused at the bound, and memory stays where it was."""
    started = rss(tiny)
    with connected(tiny) as raw:
        raw.sendall(head(tiny, b"Content-Length: 100000000"))
        assert b" 413 " in answered(raw).split(b"\r\n")[0]
    for _ in range(3):
        with connected(tiny) as raw:
            raw.sendall(head(tiny, CHUNKED))
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 100_000_000:
                    raw.sendall(chunk)
                    sent += len(chunk)
            assert sent < 100_000_000
    assert rss(tiny) - started < 50_000_000


@pytest.mark.parametrize(
    "declared",
    [
        "application/json; charset=utf-16",
        "text/event-stream",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "multipart/mixed; boundary=x",
    ],
)
def test_other_content_types_are_refused(tiny: Any, declared: str) -> None:
    """One type per endpoint, in one spelling."""
    before = len(tiny.hosted.received())
    with connected(tiny) as raw:
        kind = b"Content-Type: " + declared.encode()
        whole = head(tiny, LENGTH).replace(b"Content-Type: application/json", kind)
        raw.sendall(whole + HELLO)
        assert b" 400 " in answered(raw).split(b"\r\n")[0]
    assert len(tiny.hosted.received()) == before
