"""Turns values into surrogates: keyed, stable, and useless to whoever lacks the key.

A surrogate is one bare word, ``PERSON_K7Q2MX4D``, so that it survives Markdown, JSON and changes of
case. Its first five characters are the same for every spelling of a value ("Maria", "MARIA"), so a
model can see that they are one; the last three tell the spellings apart, so each is restored as it
was written. The same value has the same surrogate in every request of the tenant.
"""

from __future__ import annotations

import base64
import hmac
import unicodedata
from collections.abc import Iterable

__all__ = ["Surrogates", "mask"]

_MANY = 1000


def mask(entity: str) -> str:
    """What stands in place of a value that nobody needs back."""
    return f"[{entity}]"


class Surrogates:
    """Issues the surrogates of one request. ``issued`` maps each to its value."""

    __slots__ = ("_by_value", "_key", "_taken", "issued")

    def __init__(self, key: bytes, tenant: str, texts: Iterable[str]) -> None:
        """``key``: at least 16 random bytes. ``texts``: the whole request, for collisions."""
        self._key = hmac.digest(key, b"sovereign/surrogate/v1\0" + tenant.encode(), "sha256")
        # A surrogate that the caller typed must not be restored to somebody's value.
        self._taken = "\n".join(texts).upper()
        self._by_value: dict[tuple[str, str], str] = {}
        self.issued: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Surrogates({len(self.issued)} issued)"

    def of(self, entity: str, value: str) -> str:
        """The surrogate of ``value`` as an ``entity``."""
        known = self._by_value.get((entity, value))
        if known is not None:
            return known
        for attempt in range(_MANY):
            made = f"{entity}_{self._tag(entity, value, attempt)}"
            if made not in self.issued and made not in self._taken:
                self._by_value[entity, value] = made
                self.issued[made] = value
                return made
        raise RuntimeError("no free surrogate")  # 2**40 tags; the request would hold 1000 of them

    def _tag(self, entity: str, value: str, attempt: int) -> str:
        folded = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
        suffix = b"" if attempt == 0 else b"\0%d" % attempt
        return self._letters(entity, folded, suffix, 5) + self._letters(entity, value, suffix, 3)

    def _letters(self, entity: str, text: str, suffix: bytes, count: int) -> str:
        data = entity.encode() + b"\0" + text.encode("utf-8", "surrogatepass") + suffix
        digest = hmac.digest(self._key, data, "sha256")
        return base64.b32encode(digest[:5]).decode()[:count]
