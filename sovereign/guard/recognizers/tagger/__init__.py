"""Persons, addresses, user names, labelled identifiers, secrets, organisations and places, by a
small convolutional network in numpy. Any text is legal; nothing is cut; time is linear in length.

Docs: docs/model-cards/tagger.md. Made by scripts/train_tagger.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from sovereign.guard.recognizers.spdx import LICENCE
from sovereign.guard.recognizers.tagger import cues, decode, terms
from sovereign.guard.recognizers.tagger.columns import columns
from sovereign.guard.recognizers.tagger.decode import Span, kept, stretches
from sovereign.guard.recognizers.tagger.net import (
    COMMON_WORD,
    NAME,
    REACH,
    Floats,
    Net,
    load,
)
from sovereign.guard.recognizers.tagger.pinned import MODEL, MODEL_SHA256
from sovereign.guard.recognizers.tagger.tokens import fold, pieces
from sovereign.guard.recognizers.tagger.words import Words
from sovereign.types import Finding

__all__ = ["ENTITIES", "Tagger"]

ENTITIES: Final[Mapping[str, str]] = {
    "PERSON": "PERSON",
    "ADDRESS": "STREET_ADDRESS",
    "USERNAME": "USERNAME",
    "ID": "IDENTIFIER",
    "SECRET": "SECRET",
    "PHONE": "PHONE_NUMBER",
    "EMAIL": "EMAIL_ADDRESS",
    "ORG": "ORGANIZATION",
    "LOC": "LOCATION",
}
"""The network's labels, and the entities that findings carry."""

_CODE = "6"
"""Changes when the code gives other findings with the same model."""

_STEP = 768


class Tagger:
    """A :class:`sovereign.types.Recognizer`. Safe for threads; loads in about 0.1 s."""

    name = "tagger"
    quick = True
    by_words = True

    def __init__(self, net: Net | None = None) -> None:
        """``net`` is the packaged model unless given. Raises :class:`ConfigError` if its file is
        not the one that this version was released with."""
        self._net = load(MODEL, MODEL_SHA256) if net is None else net
        self._words = Words(self._net)
        self.build = hashlib.sha256(f"{self._net.digest}\n{_CODE}".encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Tagger({self.build[:12]})"

    def recognize(self, text: str) -> list[Finding]:
        """What is in ``text``, in order and disjoint."""
        return [self._finding(s) for s in self.spans(text)]

    def judged(self, text: str) -> tuple[list[Finding], list[tuple[int, int]]]:
        """As :meth:`recognize`, and the places of what is likely and personal, but not enough so
        to be found: a second opinion is worth asking for."""
        likely = self._likely(text)
        found = self._kept(text, likely)
        doubts = [
            (s.start, s.end)
            for s in likely
            if s.label not in ("ORG", "LOC")
            and not any(f.start < s.end and s.start < f.end for f in found)
        ]
        return [self._finding(s) for s in found], doubts

    def spans(self, text: str) -> list[Span]:
        """As :meth:`recognize`, under the network's own labels."""
        return self._kept(text, self._likely(text))

    def _likely(self, text: str) -> list[Span]:
        likely: list[Span] = []
        faint: list[tuple[int, int]] = []
        for p, bounds in self.read(text):
            spans, dim = stretches(p, bounds)
            likely += spans
            faint += dim
        whole = [t for s in _joined(likely) if (t := _trimmed(text, s)) is not None]
        found = [_cued(text, s) or s for s in whole]
        for a, b in faint:
            if (cued := _cued(text, Span(a, b, "PERSON", decode.FAINT))) is not None:
                found.append(cued)
        return _disjoint([s for s in found if not self._is_term(text, s, found)])

    def _kept(self, text: str, likely: Sequence[Span]) -> list[Span]:
        sure = [
            s
            for s in kept(text, likely, self._high)
            if not (_reserved(text, s) or _slight(text, s))
        ]
        extra = columns(text, sure)
        return _disjoint([*sure, *extra]) if extra else sure

    def _finding(self, s: Span) -> Finding:
        return Finding(
            (), s.start, s.end, ENTITIES[s.label], round(min(s.score, 1.0), 3), self.name
        )

    def _high(self, text: str, s: Span) -> float:
        """The score from which ``s`` needs nothing beside it. The network knows what the gazetteer
        says of a word, and its case; in short texts it follows them too little."""
        high = decode.HIGH[s.label]
        if s.label != "PERSON" or not decode.NAMED <= s.score < decode.COMMON:
            return high
        members = self._net.member([fold(word) for word in _WORDS.findall(text[s.start : s.end])])
        listed = bool((members & NAME).any())
        if not listed and len(members) and (members & COMMON_WORD).all():
            return decode.COMMON
        if text[s.start].isupper():
            return decode.NAMED if listed else decode.UNLISTED
        around = text[max(0, s.start - _NEARBY) : s.end + _NEARBY]
        return decode.SMALL if text[s.start].islower() and around != around.lower() else high

    def _is_term(self, text: str, s: Span, found: Sequence[Span]) -> bool:
        """Whether it is words of medicine or of an office, or a verb that asks for something, and
        nothing says that it is a name."""
        value = text[s.start : s.end]
        if s.label not in _NAMES or not terms.are_terms(value):
            return False
        if terms.spoken_of(text, s.start, s.end):
            return False
        large = [fold(word) for word in terms.large_words(value)]
        if len(large) > 1 or not (self._net.member(large) & NAME).any():
            return True  # a list of organs, or a word that is nobody's surname
        return s.score < terms.SURE and not any(
            other.label == "PERSON"
            and 0 <= max(other.start - s.end, s.start - other.end) <= _BESIDE
            and not terms.are_terms(text[other.start : other.end])
            for other in found
        )

    def read(self, text: str) -> Iterator[tuple[Floats, list[int]]]:
        """Label probabilities, and where the tokens lie: the last bound ends the last token. Piece
        by piece."""
        held: Floats | None = None
        bounds = [0]
        for tokens in pieces(text):
            x = self._words.vectors(tokens)
            if held is None:
                left = x[:0]
            else:
                yield self._piece(left, held, x[:REACH]), bounds
                left = np.concatenate((left, held))[-REACH:]
            held = x
            bounds = list(accumulate(map(len, tokens), initial=bounds[-1]))
        if held is not None:
            yield self._piece(left, held, held[:0]), bounds

    def _piece(self, left: Floats, x: Floats, right: Floats) -> Floats:
        if not len(left) and not len(right) and len(x) <= _STEP:
            return self._net.probabilities(x)
        whole = np.concatenate((left, x, right))
        out = []
        for i in range(len(left), len(left) + len(x), _STEP):
            j = min(i + _STEP, len(left) + len(x))
            a, b = max(0, i - REACH), min(len(whole), j + REACH)
            out.append(self._net.probabilities(whole[a:b])[i - a : j - a])
        return np.concatenate(out)


def _cued(text: str, s: Span) -> Span | None:
    """A name that is likelier than it seemed, for what stands right beside it."""
    if s.label != "PERSON" or s.score >= decode.UNLISTED:
        return None
    start = s.start + (text[s.start] == " ")
    if _NAME.fullmatch(text, start, s.end) is None or not text[start].isupper():
        return None
    if not cues.beside(text, start, s.end):
        return None
    return Span(start, s.end, s.label, decode.UNLISTED)


def _reserved(text: str, s: Span) -> bool:
    """Whether it is an e-mail address that RFC 2606 keeps for examples, or nobody's; or stands
    where a value is to be put: "your-api-key-here"."""
    if s.label == "EMAIL":
        return _EXAMPLE.match(text[s.start : s.end].lower()) is not None
    return s.label in _HOLDABLE and _HOLDER.search(text[s.start : s.end]) is not None


def _slight(text: str, s: Span) -> bool:
    """Whether it identifies nobody whatever stands around: a plain word and a digit or two ("one
    2"), letters in a list, a word that ends in capitals (LoRA), a function that is called, a chain
    of four words or more, a version for an address, a secret of two characters, a decimal fraction,
    a LOINC code beside that name, a software licence, a file's path without a number in it, an
    e-mail address without anything that means "at"."""
    value = text[s.start : s.end]
    if text.startswith("(", s.end) and _CALLED.fullmatch(value):
        return s.label != "PERSON" or _INNER.search(value) is not None
    if s.label == "EMAIL":
        return _AT.search(text, max(0, s.start - 2), s.end) is None
    if s.label in ("PERSON", "USERNAME") and _CHAIN.fullmatch(value):
        return True
    if s.label == "PERSON":
        return _LETTERS.fullmatch(value) is not None or _ACRONYM.fullmatch(value) is not None
    if s.label == "ADDRESS":
        return _VERSION.fullmatch(value) is not None
    if s.label == "SECRET":
        return sum(c.isalnum() for c in value) < 3
    if s.label == "ID" and any(p.fullmatch(value) for p in (_DECIMAL, LICENCE, _PATH)):
        return True
    if s.label != "ID" or s.end - s.start > 8:
        return False
    if _LOINC.fullmatch(value):
        return "loinc" in text[max(0, s.start - _NEARBY) : s.end + _NEARBY].lower()
    spoken = value.replace(" ", "").isalpha() and " " in value
    signs = sum(c.isdigit() or c.isupper() for c in value)
    return signs < 3 and not spoken and _WORD.search(value) is not None


_NAME = re.compile(r"[^\W\d_]{2}[^\W\d_ .'’-]*(?:[ .'’-]{1,2}[^\W\d_]+)*")
_LETTERS = re.compile(r"\w(?:, ?\w)+")
_ACRONYM = re.compile(r"[A-Za-z]*[a-z][A-Z]{2,}s?")
_VERSION = re.compile(r"v?\d+(?:\.\d+){2,}")
_DECIMAL = re.compile(r"\d{1,3}\.\d{5,}")
_PATH = re.compile(r"(?!.*\d{4})(?:[\w.-]+/)+[\w.-]+\.[a-z]{1,5}")
_CALLED = re.compile(r"[A-Za-z_][\w.]*")
_INNER = re.compile(r"[._]|[a-z][A-Z]")
_AT = re.compile(
    r"(?i)[@＠]|(?<![^\W_])(?:at|arroba|chez|chiocciola|small|apestaart\w*|40|64)(?![^\W_])"
)
_LOINC = re.compile(r"\d{3,5}-\d")
_WORD = re.compile(r"[^\W\d_]{3}")
_CHAIN = re.compile(r"[a-z]+(?:-[a-z]+){3,}")
_NEARBY = 150
_BESIDE = 2
"""Characters between "Zucker" and "Martin" in "Zucker, Martin"."""
_NAMES = frozenset({"PERSON", "ORG", "LOC"})
_HOLDABLE = frozenset({"SECRET", "USERNAME", "ID"})
_HOLDER = re.compile(r"(?i)^<?your[-_ ][a-z_ -]+>?$|[-_ ]here>?$")
_WORDS = re.compile(r"[^\W\d_]+")
_EXAMPLE = re.compile(
    r"[^\s@]*@(?:[\w-]+\.)*example(?:\.(?:com|org|net))?(?![\w.-]*\w)"
    r"|[^\s@]*@localhost|(?:no-?reply|do-?not-?reply)@"
)


def _joined(spans: list[Span]) -> list[Span]:
    """Stretches that a piece's edge cut in two, whole again."""
    out: list[Span] = []
    for s in spans:
        if out and out[-1].end == s.start and out[-1].label == s.label:
            out[-1] = Span(out[-1].start, s.end, s.label, max(out[-1].score, s.score))
        else:
            out.append(s)
    return out


def _trimmed(text: str, s: Span) -> Span | None:
    """Without what is not letter or digit at its ends, as far as the label allows, and with the
    rest of the word that its end lies in."""
    a, b = s.start, s.end
    opening = "+(@" if s.label in ("PHONE", "USERNAME") else ""
    if s.label == "SECRET":
        while a < b and text[a].isspace():
            a += 1
        while a < b and text[b - 1].isspace():
            b -= 1
    else:
        while a < b and not (text[a].isalnum() or text[a] in opening):
            a += 1
        while a < b and not text[b - 1].isalnum():
            b -= 1
    if a >= b or not (text[a].isalnum() or any(c.isalnum() for c in text[a + 1 : b])):
        return None
    inside = _INSIDE.get(s.label)
    if inside is not None:
        while b < len(text) and b - s.end < _LONGEST and inside(text, b):
            b += 1
        while a > 0 and s.start - a < _LONGEST and inside(text, a - 1):
            a -= 1
    if s.label == "ID":
        more = _MARKED.match(text, b, b + _LONGEST)
        b = more.end() if more else b
    return Span(a, b, s.label, s.score)


# "512-**47-**3391": marks inside a number do not end it.
_MARKED = re.compile(r"(?:[-*_~]{1,4}\d+)+(?!\w)")


def _linked(links: str) -> Callable[[str, int], bool]:
    """Whether the character at ``i`` carries on a word: a letter or digit, or one of ``links``
    between two of them."""

    def inside(text: str, i: int) -> bool:
        if text[i].isalnum():
            return text[i] < "\u2e80"
        return text[i] in links and 0 < i < len(text) - 1 and (
            text[i - 1].isalnum() and text[i + 1].isalnum()
        )  # fmt: skip

    return inside


_LONGEST = 64
_INSIDE: Mapping[str, Callable[[str, int], bool]] = {
    "PERSON": _linked("-'’"),
    "ID": _linked("-./"),
    "USERNAME": _linked("-._"),
    "PHONE": _linked("-."),
    "EMAIL": _linked("-._+%@"),
    "SECRET": lambda text, i: not text[i].isspace() and text[i] not in "\"'`<>,;:=@|/\\()[]{}",
}


def _disjoint(spans: Sequence[Span]) -> list[Span]:
    """Overlapping spans as one: of the likelier label, but of a personal one if there is any."""
    if all(a.end <= b.start for a, b in pairwise(spans)):
        return list(spans)
    out: list[Span] = []
    for s in sorted(spans, key=lambda s: (s.start, -s.end)):
        if out and s.start < out[-1].end:
            last = out[-1]
            best = max(last, s, key=lambda x: (x.label not in ("ORG", "LOC"), x.score))
            out[-1] = Span(last.start, max(last.end, s.end), best.label, best.score)
        else:
            out.append(s)
    return out
