"""One request at the door: what is known of it so far, its caller's end, and how it is answered.

Nothing here decides; :mod:`sovereign.gateway.road` does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sovereign.audit.chain import name_of
from sovereign.audit.receipt import HEADER, RequestReceipt
from sovereign.audit.tokens import Tokens
from sovereign.errors import GatewayError, RateLimited, SovereignError, TooLarge
from sovereign.gateway import limits
from sovereign.gateway.keys import Key
from sovereign.gateway.patience import within
from sovereign.gateway.pool import Attempts
from sovereign.gateway.traces import Trace
from sovereign.gateway.wires import Wire, dumps, error_body, should_retry, wire_of
from sovereign.types import JSON, Destination, Receipt, Verdict

__all__ = ["Asked", "ClientGone", "Hangup", "Receive", "Send", "read_body", "respond", "write"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Coroutine[Any, Any, None]]

BODY_S = 60.0
STALL_S = 60.0
PIECE = 256 << 10
UNWATCHED_S = 0.02
RETRY_AFTER_S = 1


class ClientGone(GatewayError):
    """The caller hung up. Nobody reads this error's body; the log has its code."""

    code = "client_gone"
    status = 499


@dataclass(slots=True)
class Asked:
    """Filled in along the road, so that a refusal at any step can say all that is known."""

    id: str
    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    wire: Wire
    started: float = field(default_factory=time.perf_counter)
    endpoint: str = "unknown"
    version: str | None = None
    key: Key | None = None
    model: str | None = None
    verdict: Verdict | None = None
    tokens: Tokens | None = None
    destination: Destination | None = None
    receipt: Receipt | None = None
    intended: bool = False
    ended: bool = False
    answering: bool = False
    status: int = 0
    bytes_in: int = 0
    pairs: list[tuple[str, str]] = field(default_factory=list)
    """The query string, once it was read."""
    code: str | None = None
    named: str = ""
    used: limits.Tokens = field(default_factory=limits.Tokens)
    attempts: Attempts = field(default_factory=Attempts)
    first_s: float | None = None
    guard_build: str | None = None
    body_sha256: str | None = None
    origin: str = ""
    certificate: str | None = None
    trace: Trace | None = None

    @classmethod
    def from_scope(cls, scope: Scope, request: str) -> Asked:
        """``request`` is the id under which it goes into the log and upstream."""
        headers = dict(scope["headers"])
        wire = wire_of(scope["path"], headers)
        asked = cls(request, scope["method"], scope["path"], scope["query_string"], headers, wire)
        asked.certificate = scope.get("state", {}).get("certificate")
        return asked

    def __repr__(self) -> str:
        return f"Asked({self.id!r}, {self.endpoint!r})"

    def header(self, name: str) -> str | None:
        """The caller's header, if it was sent."""
        value = self.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def seconds(self) -> float:
        """Since the request came in."""
        return time.perf_counter() - self.started

    def answer_headers(self, content_type: str) -> list[tuple[bytes, bytes]]:
        """What every answer carries: who it was, what was decided, where it went, which record."""
        own = b"request-id" if self.wire == "anthropic" else b"x-request-id"
        headers = [
            (b"content-type", content_type.encode()),
            (b"cache-control", b"no-store"),
            (own, self.id.encode()),
            (b"x-sovereign-request", self.id.encode()),
        ]
        if self.verdict is not None:
            headers.append((b"x-sovereign-verdict", self.verdict.action.verb.encode()))
        if self.destination is not None:
            headers.append((b"x-sovereign-destination", self.destination.name.encode()))
        if self.receipt is not None:
            headers.append((b"x-sovereign-record", str(self.receipt).encode()))
            headers.append((HEADER.encode(), str(self.request_receipt()).encode()))
        return headers

    def request_receipt(self) -> RequestReceipt:
        """What the answer says about its own record. Only once there is one."""
        assert self.receipt is not None
        return RequestReceipt(
            origin=name_of(self.origin, self.receipt.log),
            index=self.receipt.index,
            leaf=self.receipt.leaf,
            request=self.id,
            verdict=self.verdict.action.verb if self.verdict else None,
            policy=bytes.fromhex(self.verdict.policy) if self.verdict else None,
            build=bytes.fromhex(self.guard_build) if self.guard_build else None,
            body=bytes.fromhex(self.body_sha256) if self.body_sha256 else None,
        )


class Hangup:
    """``async with Hangup(receive)``: the block is cancelled, and :class:`ClientGone` raised, when
    the caller closes the connection. Enter it after the body was read.

    Nobody looks for :data:`UNWATCHED_S`: most requests are over by then, and a task that watches
    costs more than that."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self.gone = False

    async def __aenter__(self) -> Hangup:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(UNWATCHED_S, self._look)
        return self

    def _look(self) -> None:
        self._watch = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        assert self._task is not None
        self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if not self.gone:
            return
        # Somebody else's cancel, a shutdown, must go on as one.
        assert self._task is not None
        if self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientGone("the caller hung up") from None


async def read_body(asked: Asked, receive: Receive, limit: int) -> bytes:
    """The body, as long as it stays within ``limit`` bytes and comes in time."""
    declared = asked.header("content-length") or ""
    if declared.isdecimal() and len(declared) < 19 and int(declared) > limit:
        raise _over(limit)
    try:
        return await within(BODY_S, _body(receive, limit))
    except TimeoutError:
        slow = GatewayError(f"the body did not arrive within {BODY_S:g} seconds", hint="try again")
        slow.status = 408
        raise slow from None


async def _body(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the caller hung up")
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _over(limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _over(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes", hint="guard.max_body_bytes in sovereign.toml"
    )


async def write(send: Send, body: bytes, *, more: bool = False) -> None:
    """A part of an answer's body, no faster than the caller takes it. Raises :class:`ClientGone` if
    it takes nothing for :data:`STALL_S` seconds: it would hold its place, and the memory, for ever.
    """
    try:
        for at in range(0, max(len(body), 1), PIECE):
            piece = body if len(body) <= PIECE else body[at : at + PIECE]
            goes_on = more or at + PIECE < len(body)
            message = {"type": "http.response.body", "body": piece, "more_body": goes_on}
            await within(STALL_S, send(message))
    except TimeoutError:
        raise ClientGone("the caller does not read its answer") from None


async def respond(
    asked: Asked,
    send: Send,
    answer: SovereignError | JSON,
    *,
    status: int = 200,
    retry_after: str | None = None,
) -> None:
    """One whole JSON answer: a body, or an error in the shape of the caller's wire."""
    headers = asked.answer_headers("application/json")
    if isinstance(answer, SovereignError):
        status = answer.status
        body = dumps(error_body(asked.wire, answer))
        if isinstance(answer, RateLimited):
            retry_after = str(answer.retry_after)
        elif status == 503:
            retry_after = str(RETRY_AFTER_S)
        if not should_retry(answer):
            headers.append((b"x-should-retry", b"false"))
    else:
        body = dumps(answer)
    if status in (408, 413):  # the rest of the body is not read, so nothing can follow it
        headers.append((b"connection", b"close"))
    if retry_after is not None:
        headers.append((b"retry-after", retry_after.encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    asked.answering = True
    asked.status = status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await write(send, body)
