"""Choices that a key makes: the same for the same value, and without the key any is as likely."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Chance"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chance:
    """``attempt`` counts the stand-ins of this value that were taken. ``word`` gives the stand-in
    of one word of a name, which must be the same in every value that holds the word; ``None`` if
    none is free."""

    key: bytes
    attempt: int
    word: Callable[[str], str | None]

    def __repr__(self) -> str:
        return f"Chance(attempt={self.attempt})"

    def bytes(self, *what: str) -> Iterator[int]:
        """Endless, keyed by ``what`` and the attempt."""
        block = 0
        text = "\0".join((*what, str(self.attempt))).encode("utf-8", "surrogatepass")
        while True:
            yield from hmac.digest(self.key, b"%d\0" % block + text, "sha256")
            block += 1

    def below(self, n: int, *what: str) -> int:
        """A number from 0 to ``n - 1``; ``n`` is at most 2**32, so its bias is below 2**-32."""
        stream = self.bytes(*what)
        return int.from_bytes(bytes(next(stream) for _ in range(8))) % n

    def of(self, choices: Sequence[T], *what: str) -> T:
        """One of ``choices``."""
        return choices[self.below(len(choices), *what)]
