"""From tokens to text that may be sent: whole characters only, and never a part of a stop string.

Pure: no model, no I/O. Feeding any chunking of a text gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Detokenizer", "StopFilter", "overlap"]

_INCOMPLETE = "\ufffd"


class Detokenizer:
    """Token ids one by one to text, holding back bytes that are not yet a whole character.

    ``decode`` turns a list of ids into text. It looks at a window, not at the whole sequence,
    because the first token of a text may decode otherwise than in its middle (a leading space).
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._shown = ""

    def feed(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is incomplete."""
        self._ids.append(token)
        text = self._decode(self._ids)
        if text.endswith(_INCOMPLETE):
            return ""
        new = text[len(self._shown) :]
        if len(self._ids) > 8:
            text = self._shorten(text)
        self._shown = text
        return new

    def _shorten(self, text: str) -> str:
        """Keep the last tokens that are whole characters, as the left context of the next one: a
        run of byte tokens that begins in the middle of a character decodes as none."""
        for n in range(1, 5):
            kept = self._decode(self._ids[-n:])
            if kept and _INCOMPLETE not in kept:
                self._ids = self._ids[-n:]
                return kept
        return text

    def flush(self) -> str:
        """What is left at the end: an incomplete character comes out as U+FFFD."""
        text = self._decode(self._ids)
        new, self._shown = text[len(self._shown) :], text
        return new


class StopFilter:
    """Cuts a text at the first stop string, and holds back what may become one.

    The stop string that ends first wins; of two that end together, the longer.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """The part of the text so far that can be sent; nothing once :attr:`hit` is true."""
        if self.hit:
            return ""
        held = self._held + text
        found = [(at + len(s), at) for s in self._stops if (at := held.find(s)) >= 0]
        if found:
            self.hit = True
            self._held = ""
            return held[: min(found)[1]]
        keep = max((overlap(held, s) for s in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """What was held back, when no stop string came of it."""
        held, self._held = self._held, ""
        return held


def overlap(text: str, stop: str) -> int:
    """The length of the longest end of ``text`` that is a proper start of ``stop``."""
    for n in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:n]):
            return n
    return 0
