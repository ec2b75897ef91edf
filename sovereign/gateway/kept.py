"""Remembers which conversations the policy kept inside, so that they stay there.

A caller who sends the whole conversation each time sends what kept it inside, too, and the policy
decides the same again. But many cut off the oldest turns: then what is left was said under the
eyes of a local model only, and must not go out. So stretches of a kept conversation, from the turn
that kept it inside on, are remembered as keyed hashes; a request that holds one stays inside.

Nothing of the text is stored. The file is shared by all workers of one gateway; if it cannot be
read or written, the request is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sovereign.errors import GatewayError
from sovereign.types import JSON, Clock

__all__ = ["Kept", "turns"]

STRETCH = 120
"""Characters that consecutive turns hold together before they are taken for a conversation of their
own: "thanks" and "you are welcome" stand in many."""

DAYS = 90
PURGE_S = 3600.0


class Kept:
    """One file of keyed hashes. Thread-safe."""

    def __init__(self, file: Path, key: bytes, *, clock: Clock = time.time) -> None:
        self._file = file
        self._key = hashlib.blake2b(b"sovereign/kept/v1", key=key[:64], digest_size=32).digest()
        self._clock = clock
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._purged = float("-inf")

    def __repr__(self) -> str:
        return "Kept()"

    def since(self, team: str, said: Sequence[JSON]) -> int | None:
        """The first of these turns that was said inside, as far as ``team`` kept it there; ``None``
        if there is none. Raises :class:`GatewayError` if that cannot be told."""
        if len(said) < 2 or (self._db is None and not self._file.exists()):
            return None  # a first turn continues nothing; and nothing was ever kept here
        with self._guarded() as db:
            for first, name in self._stretches(team, said):
                if db.execute("SELECT 1 FROM kept WHERE name = ?", (name,)).fetchone():
                    return first
        return None

    def keep(self, team: str, said: Sequence[JSON], first: int) -> None:
        """Remember the stretches of these turns that begin at turn ``first`` or later. Raises
        :class:`GatewayError`."""
        now = int(self._clock())
        rows = [(name, now) for at, name in self._stretches(team, said) if at >= first]
        with self._guarded() as db:
            db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", rows)
            if now - self._purged > PURGE_S:
                db.execute("DELETE FROM kept WHERE at < ?", (now - DAYS * 86_400,))
                self._purged = now

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def _stretches(self, team: str, said: Sequence[JSON]) -> Iterator[tuple[int, bytes]]:
        """From each turn, the shortest stretch that is long enough: its first turn and its name."""
        texts = [_said(turn) for turn in said]
        for first in range(len(texts)):
            digest = hashlib.blake2b(team.encode() + b"\0", key=self._key, digest_size=16)
            size = 0
            for text in texts[first:]:
                data = text.encode("utf-8", "surrogatepass")
                digest.update(b"%d:" % len(data) + data)
                size += len(text)
                if size >= STRETCH:
                    yield first, digest.digest()
                    break

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """One transaction. What goes wrong with the file closes the door for this request."""
        with self._lock:
            try:
                with self._open() as db:
                    yield db
            except (sqlite3.Error, OSError):
                closed = GatewayError(
                    "it cannot be told whether this conversation was kept inside",
                    hint="see gateway.kept_file in sovereign.toml: its disk, its permissions",
                )
                closed.status = 503
                raise closed from None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file.touch(mode=0o600)
            db = sqlite3.connect(self._file, timeout=5, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("CREATE TABLE IF NOT EXISTS kept (name BLOB PRIMARY KEY, at INTEGER)")
            self._db = db
        return self._db


def turns(body: JSON) -> list[JSON]:
    """The turns of a conversation, oldest first; of anything else none."""
    if not isinstance(body, dict):
        return []
    found = body.get("messages", body.get("input"))
    return found if isinstance(found, list) else []


def _said(turn: JSON) -> str:
    """Who said it and what, however a client of the wire writes the same text."""
    if not isinstance(turn, dict):
        return json.dumps(turn, ensure_ascii=False)
    content = turn.get("content")
    if isinstance(content, list):
        texts = [p.get("text") if isinstance(p, dict) else None for p in content]
        if all(isinstance(t, str) for t in texts):
            content = "\n".join(t for t in texts if t is not None)
    if not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False, sort_keys=True)
    calls = turn.get("tool_calls")
    called = json.dumps(calls, ensure_ascii=False, sort_keys=True) if calls else ""
    return f"{turn.get('role')}\0{content}\0{called}"
