"""Whether a value arrived: looks for its spellings, and for the value under any simple spelling, in
everything that a recording stand-in wrote down. It errs on the side of finding."""

from __future__ import annotations

import base64
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sovereign.prove.corpus import Message

__all__ = ["Arrived", "Recording"]

SHARE = 0.6
"""So much of a spelling in one piece counts as all of it: half a number is a leak, too."""
SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request as it arrived, in several readings. ``repr`` shows none of it."""

    texts: tuple[str, ...]
    letters: str
    digits: str

    def __repr__(self) -> str:
        return f"Arrived({sum(map(len, self.texts))} characters)"

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> Arrived:
        """``line`` as :mod:`sovereign.gateway.standin` writes it."""
        body = base64.b64decode(line["body"])
        # What a gateway makes itself is no text of a caller.
        own = ("authorization", "x-api-key", "api-key", "content-length")
        headers = "\n".join(f"{k}: {v}" for k, v in line["headers"] if k.lower() not in own)
        head = f"{line['path']}\n{line['query']}\n{headers}"
        raw = body.decode("utf-8", "replace")
        readings = [head, unquote(head), raw, base64.b64encode(body).decode()]
        try:
            leaves = list(_leaves(json.loads(body)))
        except ValueError:
            leaves = [raw]
        for encoding in ("utf-16", "latin-1"):
            if b"\0" in body[:200]:
                readings.append(body.decode(encoding, "replace"))
        readings += ["\n".join(leaves), unquote("\n".join(leaves))]
        letters = _plain(head + "".join(leaves))
        return cls(tuple(readings), letters, "".join(filter(str.isdecimal, letters)))

    def holds(self, message: Message) -> bool:
        """Whether any value of ``message`` is in it."""
        if any(self._has(needle) for needle in message.needles):
            return True
        if any(exact in text for exact in message.exact for text in self.texts):
            return True
        # Under any spelling that normalising undoes, and over any cut.
        plains = [plain for plain in map(_plain, message.plain) if len(plain) >= SHORTEST]
        return any(
            plain in self.letters or (plain.isdecimal() and plain in self.digits)
            for plain in plains
        )

    def _has(self, needle: str) -> bool:
        size = max(SHORTEST, math.ceil(len(needle) * SHARE))
        if len(needle) < size:
            return False  # one digit of a number that was cut up proves nothing alone
        pieces = [needle[i : i + size] for i in range(len(needle) - size + 1)]
        return any(piece in text for text in self.texts for piece in pieces)


class Recording:
    """The file of one recording stand-in, read on from where it was last read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = file.stat().st_size if file.exists() else 0

    def new(self) -> Sequence[Arrived]:
        """What has arrived since the last call."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as opened:
            opened.seek(self._at)
            raw = opened.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._at += len(whole)
        return [Arrived.from_line(json.loads(line)) for line in whole.splitlines()]


def _leaves(value: Any) -> Iterator[str]:
    """Every string, number and key, also inside JSON that stands in a string."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value
        if value[:1] in "{[" and value:
            try:
                yield from _leaves(json.loads(value))
            except (ValueError, RecursionError):
                return
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _plain(text: str) -> str:
    """Letters and digits only, in one case, compatibility forms and digits of all scripts
    resolved."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(
        str(unicodedata.decimal(c)) if c.isdecimal() else c for c in folded if c.isalnum()
    )
