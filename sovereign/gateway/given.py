"""Answers that are more than a reply: things that belong to the caller from then on, lists of what
belongs to many, and bytes that pass as they are."""

from __future__ import annotations

import re
from collections.abc import Callable

from sovereign.errors import UpstreamFailed
from sovereign.gateway.asked import Asked, Send, write
from sovereign.gateway.clear import Cleared
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.pool import Answer
from sovereign.guard.endpoints import named
from sovereign.types import JSON

__all__ = ["Gives", "passed"]

MAX_PASSED = 512_000_000
_PASSED = re.compile(
    r"(?:audio|image)/[\w.+-]+|application/(?:octet-stream|jsonl|x-jsonl|x-ndjson|pdf|json|binary)"
    r"|binary/octet-stream|text/(?:plain|csv|vtt|markdown)|application/x-subrip"
)


class Gives:
    """What one answer gives to the caller's team, into the ledger before the caller can know it."""

    def __init__(self, asked: Asked, cleared: Cleared, ledger: Ledger) -> None:
        self._makes = cleared.makes
        self._listed = cleared.endpoint.listed
        self._ledger = ledger
        self._destination = cleared.upstream.destination.name
        self._team = asked.key.team if asked.key is not None else ""
        self._known: set[str] = set()

    def whole(self, body: JSON) -> JSON:
        """``body``, or, of a list of everybody's, what is this team's."""
        if self._makes:
            self._ledger.own(named(body, self._makes), self._team, self._destination)
        if not self._listed:
            return body
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, list):
            return {"object": "list", "data": [], "has_more": False}
        mine = [item for item in data if self._is_mine(item)]
        out = {**body, "data": mine}
        for field, item in (("first_id", mine[:1]), ("last_id", mine[-1:])):
            if field in out:
                out[field] = item[0]["id"] if item else None
        return out

    def _is_mine(self, item: JSON) -> bool:
        id = item.get("id") if isinstance(item, dict) else None
        return isinstance(id, str) and self._ledger.mine(id, self._team, self._destination)

    def event(self, data: JSON) -> None:
        """The same for one event of a stream."""
        if not self._makes:
            return
        new = [id for id in named(data, self._makes) if id not in self._known]
        if new:
            self._known.update(new)
            self._ledger.own(new, self._team, self._destination)


async def passed(
    asked: Asked,
    cleared: Cleared,
    answer: Answer,
    send: Send,
    ended: Callable[[Asked, str, int], None],
) -> None:
    """Sound, pictures and files, as they come. Text of a transcription is restored."""
    name = cleared.upstream.destination.name
    if not _PASSED.fullmatch(answer.content_type):
        raise UpstreamFailed(f"destination {name!r} did not answer with sound, text or a file")
    text = cleared.endpoint.reply == "text"
    kind = f"{answer.content_type}; charset=utf-8" if text else answer.content_type
    headers = [
        *asked.answer_headers(kind),
        (b"x-content-type-options", b"nosniff"),
        (b"content-disposition", b"attachment"),
    ]
    pieces: list[bytes] = []
    async for piece in answer.body.iter_any():
        asked.bytes_in += len(piece)
        if asked.bytes_in > MAX_PASSED:
            raise UpstreamFailed(f"destination {name!r} answered with too much")
        if text:
            pieces.append(piece)
            continue
        await _start(asked, send, headers)
        await write(send, piece, more=True)
    if text:
        whole = b"".join(pieces).decode("utf-8", "replace")
        pieces = [cleared.restorer.text(whole).encode()]
    await _start(asked, send, headers)
    ended(asked, "ok", 200)
    await write(send, b"".join(pieces))


async def _start(asked: Asked, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    if not asked.answering:
        asked.answering = True
        asked.status = 200
        await send({"type": "http.response.start", "status": 200, "headers": headers})
