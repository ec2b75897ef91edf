"""Turns values into surrogates: keyed, stable, and useless to whoever lacks the key.

A surrogate is a tag or, in the ``realistic`` style, a stand-in of the same kind
(:mod:`sovereign.guard.standins`), where one can be made and restored safely.

A tag is one bare word, ``PERSON_K7Q2MX4D``, so that it survives Markdown, JSON and changes of
case. Its first five characters are the same for every spelling of a value ("Maria", "MARIA"), so a
model can see that they are one; the last three tell the spellings apart, so each is restored as it
was written. The same value has the same surrogate in every request of the tenant; only where two
values would share a stand-in does the later one take another.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from sovereign.guard import standins
from sovereign.guard.standins import words

__all__ = ["Style", "Surrogates", "mask"]

Style = Literal["tags", "realistic"]

TAGS = 20_000
"""So many are remembered."""
_MANY = 1000
_TRIES = 20
_TAG = 8
"""Characters of a tag after its entity."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # of base32, RFC 4648
_PAIRS = [a + b for a in _LETTERS for b in _LETTERS]
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def mask(entity: str) -> str:
    """What stands in place of a value that nobody needs back."""
    return f"[{entity}]"


class Surrogates:
    """Issues the surrogates of one request. ``tags`` and ``words`` map each to its value; a name's
    words are in ``words`` singly too."""

    __slots__ = (
        "_by_value",
        "_key",
        "_mac",
        "_made",
        "_name",
        "_style",
        "_taken",
        "_taken_words",
        "_texts",
        "tags",
        "words",
    )

    def __init__(
        self, key: bytes, tenant: str, texts: Sequence[str], style: Style = "tags"
    ) -> None:
        """``key``: at least 16 random bytes. ``texts``: the whole request, for collisions."""
        self._key, self._mac, self._name = _keyed(key, tenant)
        self._texts = texts
        self._style = style
        self._taken: set[str] | None = None
        self._taken_words: dict[str, str] | None = None
        self._by_value: dict[tuple[str, str], str] = {}
        self._made: dict[tuple[str, str], str | None] = {}
        self.tags: dict[str, str] = {}
        self.words: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Surrogates({len(self.tags) + len(self.words)} issued)"

    @property
    def realistic(self) -> bool:
        """Whether there are stand-ins, for which it matters what touches a value."""
        return self._style == "realistic"

    def of(self, entity: str, value: str, *, glued: bool = False) -> str:
        """The surrogate of ``value`` as an ``entity``. ``glued``: a letter or digit touches it,
        so that no stand-in could be told from what is around it."""
        if self._style == "realistic" and not glued:
            if (entity, value) not in self._made:
                self._made[entity, value] = self._standin(entity, value)
            standin = self._made[entity, value]
            if standin is not None:
                return standin
        known = self._by_value.get((entity, value))
        if known is not None:
            return known
        if self._taken is None:
            # A surrogate that the caller typed must not be restored to somebody's value.
            pieces = [piece for text in self._texts for piece in text.split("_")[1:]]
            self._taken = {piece[:_TAG].upper()[:_TAG] for piece in pieces}
        for attempt in range(_MANY):
            tag = self._tag(entity, value, attempt)
            made = f"{entity}_{tag}"
            if made not in self.tags and tag not in self._taken:
                self._by_value[entity, value] = made
                self.tags[made] = value
                return made
        raise RuntimeError("no free surrogate")  # 2**40 tags; the request would hold 1000 of them

    def _standin(self, entity: str, value: str) -> str | None:
        make = standins.maker(entity)
        if make is None:
            return None
        for attempt in range(_TRIES):
            made = make(value, standins.Chance(self._key, attempt, self._word))
            if made is None:
                return None
            if self._take(made, value):
                return made
            if entity == "PERSON":  # made of words that are each free: another try is the same
                return None
        return None

    def _word(self, word: str) -> str | None:
        """The stand-in of one word of a name."""
        for attempt in range(_TRIES):
            made = words.name_word(word, standins.Chance(self._key, attempt, self._word))
            if self._take(made, word):
                return made
        return None

    def _take(self, made: str, value: str) -> bool:
        """Whether ``made`` may stand for ``value``: nobody wrote it, and no other value has it."""
        if self._taken_words is None:
            # Any piece of the request, in whatever case: a pair of words is made of taken words.
            found = {w for text in self._texts for w in _pieces(text)}
            self._taken_words = dict.fromkeys(found, "")
        name = "".join(_pieces(made))
        # Signs around it stay where they are, in the text and in a reply: "(212) 555-0142".
        inner, core = _EDGES.sub("", made), _EDGES.sub("", value)
        if not inner or made.partition(inner)[::2] != value.partition(core)[::2]:
            return False
        held = self._taken_words.setdefault(name, " ".join(_pieces(value)))
        if held != " ".join(_pieces(value)):
            return False
        self.words.setdefault(inner, core)
        return True

    def _tag(self, entity: str, value: str, attempt: int) -> str:
        name = self._name.copy()
        name.update(f"{entity}\0{value}\0{attempt}".encode("utf-8", "surrogatepass"))
        known = _TAGS.get(name.digest())
        if known is None:
            folded = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
            suffix = b"" if attempt == 0 else b"\0%d" % attempt
            first = self._letters(entity, folded, suffix)
            own = first if value == folded else self._letters(entity, value, suffix)
            known = first[:5] + own[:3]
            if len(_TAGS) >= TAGS:
                _TAGS.clear()
            _TAGS[name.digest()] = known
        return known

    def _letters(self, entity: str, text: str, suffix: bytes) -> str:
        data = entity.encode() + b"\0" + text.encode("utf-8", "surrogatepass") + suffix
        mac = self._mac.copy()
        mac.update(data)
        number = int.from_bytes(mac.digest()[:5], "big")
        return "".join([_PAIRS[number >> shift & 1023] for shift in (30, 20, 10, 0)])


_TAGS: dict[bytes, str] = {}
"""Tags by a keyed hash of what they stand for: to look is quicker than to make them, and a chat
says the same values in each turn."""


@lru_cache(maxsize=256)
def _keyed(key: bytes, tenant: str) -> tuple[bytes, hmac.HMAC, hashlib.blake2b]:
    """A tenant's own key, and a MAC and a hash of it that are only ever copied: for a short request
    it takes longer to make them than to use them."""
    own = hmac.digest(key, b"sovereign/surrogate/v1\0" + tenant.encode(), "sha256")
    return own, hmac.new(own, digestmod="sha256"), hashlib.blake2b(key=own, digest_size=16)


def _pieces(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
