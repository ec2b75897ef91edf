"""Findings by keyed hash of the text, so that turn 50 of a chat costs as much as turn 1.

Holds hashes and offsets, never a text; bounded; gone with the process.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict

from sovereign.types import Finding

__all__ = ["Cache", "Once"]

ENTRIES = 20_000
FINDINGS = 200_000


class Cache:
    """Least recently used first out. One cache serves one list of recognisers. Thread-safe."""

    def __init__(self, key: bytes, *, entries: int = ENTRIES, findings: int = FINDINGS) -> None:
        self._key = key[:64]
        self._entries, self._findings = entries, findings
        self._held = 0
        self._map: OrderedDict[bytes, tuple[Finding, ...]] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0

    def __repr__(self) -> str:
        return f"Cache({len(self._map)} texts)"

    def name(self, text: str) -> bytes:
        """The keyed hash of ``text``, by which it is known."""
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._key, digest_size=16).digest()

    def get(self, name: bytes) -> tuple[Finding, ...] | None:
        """What was found in a text, if it was seen before."""
        with self._lock:
            found = self._map.get(name)
            if found is not None:
                self.hits += 1
                self._map.move_to_end(name)
            else:
                self.misses += 1
            return found

    def put(self, name: bytes, found: tuple[Finding, ...]) -> None:
        """Remember what was found in a text."""
        if len(found) > self._findings:
            return
        with self._lock:
            self._held += len(found) - len(self._map.pop(name, ()))
            self._map[name] = found
            while len(self._map) > self._entries or self._held > self._findings:
                _, old = self._map.popitem(last=False)
                self._held -= len(old)


class Once:
    """Texts of which something is known that is yes or no. Holds keyed hashes, the key being this
    process's own; bounded. Thread-safe: what two threads do at once is done twice, or forgotten."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._mac = hashlib.blake2b(key=os.urandom(32), digest_size=16)  # only ever copied
        self._entries = entries
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def __repr__(self) -> str:
        return f"Once({len(self._new)} texts)"

    def name(self, text: str) -> bytes:
        """The keyed hash of ``text``."""
        mac = self._mac.copy()
        mac.update(text.encode("utf-8", "surrogatepass"))
        return mac.digest()

    def knows(self, name: bytes) -> bool:
        """Whether it was added, and is not long ago."""
        if name in self._new:
            return True
        if name in self._old:
            self.add(name)
            return True
        return False

    def add(self, name: bytes) -> None:
        """Two generations: the older one is dropped whole, which needs no order and no lock."""
        if len(self._new) >= self._entries:
            self._old, self._new = self._new, set()
        self._new.add(name)
