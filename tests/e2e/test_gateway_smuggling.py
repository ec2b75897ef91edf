"""Requests that two readers of HTTP could see differently, and bodies without end: over raw
sockets, since no client library would send them."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from operate import until

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


@pytest.fixture(scope="module")
def impatient(gateway_at: Any) -> Any:
    """A gateway that waits for slow callers for a second and a half."""
    gateway = gateway_at(tiny=True)
    gateway.command.insert(2, "--impatient")
    return gateway.start()


@pytest.mark.parametrize(
    "said", [b"", b"POST /v1/chat/completions HT", b"POST / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"]
)
def test_a_caller_that_never_ends_its_head_is_let_go(impatient: Any, said: bytes) -> None:
    """Nobody knows yet who it is: it must not hold a descriptor for ever. A hundred at once do not
    keep one request out."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connected(impatient)) for _ in range(100)]
        for raw in lines:
            raw.sendall(said)
        assert impatient.ask().status == 200
        assert all(closed(raw) for raw in lines)


def test_a_second_head_on_a_connection_has_its_end_too(impatient: Any) -> None:
    """A connection that was used once is no better known than a new one."""
    with connected(impatient) as raw:
        raw.sendall(head(impatient, LENGTH) + HELLO)
        assert b" 200 " in answered(raw).split(b"\r\n")[0]
        time.sleep(0.2)
        raw.sendall(b"POST /v1/chat/comp")
        assert closed(raw)


def test_a_caller_that_takes_nothing_is_let_go(impatient: Any) -> None:
    """A reply of megabytes, and a caller that reads none of it: its connection is dropped, and what
    was to be written to it with it."""
    before = rss(impatient)
    body = b'{"model":"gpt-test","messages":[{"role":"user","content":"%s"}]}' % (b"ab " * 300_000)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            raw = stack.enter_context(connected(impatient))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.sendall(head(impatient, b"Content-Length: %d" % len(body)) + body)
        until(lambda: len(connections(impatient)) <= 1, seconds=40)
        assert impatient.ask().status == 200
    assert rss(impatient) - before < 80_000_000


def closed(raw: socket.socket) -> bool:
    """Whether the other side ends the connection in time; what it says first is read."""
    with contextlib.suppress(ConnectionError):
        while raw.recv(65536):
            pass
    return True


def connections(gateway: Any) -> list[str]:
    """Established connections to the gateway's port, as the kernel lists the gateway's ends."""
    port = f"{urlsplit(gateway.url).port:04X}"
    rows = Path(f"/proc/{gateway.process.pid}/net/tcp").read_text().splitlines()[1:]
    return [r for r in rows if r.split()[1].endswith(f":{port}") and r.split()[3] == "01"]


def test_noise_on_the_wire_sends_nothing(tiny: Any) -> None:
    """Requests with bytes changed, dropped, doubled and moved, from a fixed seed: whatever is
    answered, what leaves is a body that was read, and the gateway serves on."""
    chance = random.Random(20261126)
    secret = b"Maria Keller"
    body = b'{"model":"gpt-test","messages":[{"role":"user","content":"I am %s"}]}' % secret
    whole = head(tiny, b"Content-Length: %d" % len(body)) + body
    before = len(tiny.hosted.received())
    statuses = set()
    for _ in range(300):
        noisy = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(noisy))
            what = chance.randrange(4)
            if what == 0:
                noisy[at] = chance.randrange(256)
            elif what == 1:
                del noisy[at : at + chance.randint(1, 8)]
            elif what == 2:
                noisy[at:at] = noisy[at : at + chance.randint(1, 40)]
            else:
                noisy[at:at] = chance.choice([b"\r\n", b"\0", b"\n", b'"', b"{", b"\xff\xfe", b":"])
        with connected(tiny) as raw:
            with contextlib.suppress(OSError):
                raw.sendall(bytes(noisy))
                raw.shutdown(socket.SHUT_WR)
            statuses.add(answered(raw)[9:12])
    assert tiny.ask().status == 200
    assert b"500" not in statuses
    for sent in tiny.hosted.received()[before:]:
        # The recogniser knows this name as it is; what the noise made of it is another word.
        assert secret not in sent["body"]
        assert secret not in str(sent["headers"]).encode() + sent["path"].encode()
