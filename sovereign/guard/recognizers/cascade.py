"""A second opinion where the tagger is unsure: a slower recogniser reads those places only. What
both doubt stays unfound; how much of the text it reads is counted."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from sovereign.guard.recognizers.tagger import Tagger
from sovereign.types import Finding, Recognizer

__all__ = ["Cascade"]

AROUND = 120
"""Characters before and after a doubt that are read with it."""


class Cascade:
    """``first`` reads all, ``second`` what ``first`` doubts. Safe for threads if both are."""

    by_words = True

    def __init__(self, first: Tagger, second: Recognizer) -> None:
        self._first, self._second = first, second
        self.name = first.name
        self.build = hashlib.sha256(f"{first.build}\n{second.build}".encode()).hexdigest()
        self._lock = threading.Lock()
        self._seen = self._asked = 0

    def __repr__(self) -> str:
        return f"Cascade({self._second.name})"

    @property
    def share(self) -> float:
        """Characters that the second one read, of all, so far."""
        with self._lock:
            return self._asked / self._seen if self._seen else 0.0

    def recognize(self, text: str) -> list[Finding]:
        """What the first finds, and what the second finds where the first half did."""
        found, doubts = self._first.judged(text)
        windows = _windows(doubts, len(text))
        with self._lock:
            self._seen += len(text)
            self._asked += sum(end - start for start, end in windows)
        for begin, end in windows:
            for f in self._second.recognize(text[begin:end]):
                start, stop = f.start + begin, f.end + begin
                if any(a < stop and start < b for a, b in doubts):
                    found.append(f._replace(start=start, end=stop, recognizer=self._second.name))
        return found


def _windows(doubts: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The doubts with their surroundings, overlapping ones as one."""
    out: list[tuple[int, int]] = []
    for start, end in doubts:
        begin, stop = max(0, start - AROUND), min(size, end + AROUND)
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((begin, stop))
    return out
