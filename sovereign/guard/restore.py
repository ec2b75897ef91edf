"""Puts values back in place of their surrogates, in whole replies and, piece by piece, in streams.

Only surrogates that were issued in this one request are known here, so a reply can restore nothing
that its own request did not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile

from sovereign.guard import shapes
from sovereign.guard.body import KEY, rebuild
from sovereign.guard.events import EventRestorer
from sovereign.guard.logprobs import Found, Scores, restored
from sovereign.types import JSON, Path

__all__ = ["Restorer", "Stream"]

_JOIN = r"(?:\\{0,2}(?:u005[fF]|_)|[\s*\u00ad\u200b_-]{1,4})"
"""What models make of a tag's underscore: ``\\_`` in Markdown, ``\\u005f`` in JSON, a break."""
_GAP = r"[\W_]{1,4}"
"""What may stand between two words of a stand-in: a space, a line break, "**", a comma."""
_TIGHT = r"[\W_]{0,3}"
"""The same between the groups of a number, where it may be nothing."""
_NOISE = re.compile(r"\\{0,2}u005[fF]|[\\\s*\u00ad\u200b_-]+|\\{0,2}u0{0,2}5?$")
_SIGNS = re.compile(r"[\W_]+")
_MAX_GAP = 4


class Restorer:
    """The surrogates of one request and what they stand for. ``repr`` shows only how many.

    Models change the case of a surrogate, set it in bold, add a possessive, break the line inside,
    or escape its underscores for Markdown or JSON; all of these are restored. A tag is restored
    wherever it stands, a realistic stand-in only as whole words, in the case that the model chose.
    """

    __slots__ = ("_known", "_tags", "_words")

    def __init__(self, tags: Mapping[str, str], words: Mapping[str, str] | None = None) -> None:
        self._tags = tags
        self._words = words or {}
        self._known: _Known | None = None

    def __repr__(self) -> str:
        return f"Restorer({len(self)} surrogates)"

    def __len__(self) -> int:
        return len(self._tags) + len(self._words)

    @property
    def _index(self) -> _Known | None:
        """Made when a reply comes: most of an inspection's callers never ask."""
        if self._known is None and len(self):
            self._known = _Known(self._tags, self._words)
        return self._known

    def prepare(self, *, stream: bool) -> None:
        """Make now what the reply, or its first piece, would have to wait for."""
        index = self._index
        if index is not None and stream:
            index.prepare()

    def text(self, s: str, start: int = 0, end: int | None = None) -> str:
        """``s`` from ``start`` to ``end``, with every surrogate replaced by its value. What is
        around it tells whether a stand-in is a word of its own."""
        return self._replace(s, str, start, len(s) if end is None else end)

    def json_fragment(self, s: str, start: int = 0, end: int | None = None) -> str:
        """As :meth:`text`, for the inside of a JSON string: values are escaped."""
        return self._replace(s, _escaped, start, len(s) if end is None else end)

    def _replace(self, s: str, form: Callable[[str], str], start: int, end: int) -> str:
        index = self._index
        if index is None:
            return s[start:end]
        out, at = [], start
        for begin, stop, value in index.find(s, start):
            if begin >= end:
                break
            out += [s[at:begin], form(value)]
            at = stop
        return "".join([*out, s[at:end]]) if out else s[start:end]

    def found(self, s: str, start: int = 0, end: int | None = None) -> Iterator[Found]:
        """The surrogates that :meth:`text` replaces, and by what."""
        index = self._index
        if index is None:
            return iter(())
        last = len(s) if end is None else end
        return takewhile(lambda one: one[0] < last, index.find(s, start))

    def may_begin(self, s: str) -> bool:
        """Whether a surrogate may begin somewhere in ``s``: no is certain, and quickly said."""
        index = self._index
        return index is not None and index.may_begin(s, 0)

    def held(self, s: str, start: int = 0) -> int:
        """How many characters at the end of ``s`` may still become a surrogate, or be known as one
        only by what follows. Those before ``start`` went out already."""
        index = self._index
        if index is None or len(s) <= start:
            return 0
        whole: list[tuple[int, int]] | None = None
        heads = index.heads
        for first in index.firsts.finditer(s, max(start, len(s) - heads.longest)):
            at = first.start()
            if not heads.begins(s, at):
                continue
            if whole is None:
                whole = [(begin, stop) for begin, stop, _ in index.find(s, start)]
            # Not from inside a whole surrogate: its own end may look like another's beginning.
            if not any(a < at < b for a, b in whole):
                return len(s) - at
        return 0

    def tree(self, body: JSON, shape: str) -> JSON:
        """A whole reply with all its leaves restored. Raises :class:`KeyError` for no shape."""
        known = shapes.SHAPES[shape]
        index = self._index
        if index is None:
            return body
        replaced: dict[Path, JSON] = {}
        stack: list[tuple[Path, JSON]] = [((), body)]
        while stack:
            path, value = stack.pop()
            if isinstance(value, str):
                if len(value) >= index.least and index.may_be_in(value):
                    form = self.json_fragment if known.is_fragment(path) else self.text
                    replaced[path] = form(value)
            elif isinstance(value, dict):
                scored = None
                if value.get("logprobs") and known.wire != "anthropic":
                    scored = restored(value, self.found)
                for key, item in value.items():
                    if scored is not None and key == "logprobs":
                        if scored is not item:
                            replaced[(*path, key)] = scored
                        continue
                    stack.append(((*path, key), item))
                    if len(key) >= index.least and index.may_be_in(key):
                        replaced[(*path, key, KEY)] = self.text(key)
            elif isinstance(value, list):
                stack.extend(((*path, i), item) for i, item in enumerate(value))
        return rebuild(body, replaced) if replaced else body

    def stream(self, *, fragment: bool = False) -> Stream:
        """Restores one text that arrives in pieces."""
        return Stream(self, fragment)

    def events(self, shape: str) -> EventRestorer:
        """Restores the server-sent events of one reply. Raises :class:`KeyError` for no shape."""
        return EventRestorer(self, shapes.SHAPES[shape])


class Stream:
    """One text in pieces. What goes out lags behind only while its end may become a surrogate."""

    __slots__ = ("_before", "_form", "_held", "_restorer", "scores")

    def __init__(self, restorer: Restorer, fragment: bool) -> None:
        self._restorer = restorer
        self._form = restorer.json_fragment if fragment else restorer.text
        self._held = ""
        self._before = ""  # the last character that went out: a word may go on from it
        self.scores: Scores | None = None

    def __repr__(self) -> str:
        return f"Stream({len(self._held)} characters held)"

    def scored(self) -> Scores:
        """What follows this text from here on with the log-probabilities of its tokens."""
        if self.scores is None:
            self.scores = Scores(lost=bool(self._held))
        return self.scores

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        if not self._held and piece and not self._restorer.may_begin(piece):
            self._before = piece[-1]
            if self.scores is not None:
                self.scores.settle(piece, ())
            return piece
        text = self._before + self._held + piece
        return self._out(text, len(text) - self._restorer.held(text, len(self._before)))

    def flush(self) -> str:
        """What was held back; the text is over."""
        text = self._before + self._held
        return self._out(text, len(text))

    def _out(self, text: str, end: int) -> str:
        start = len(self._before)
        shown = self._form(text, start, end)
        if self.scores is not None:
            found = self._restorer.found(text, start, end)
            self.scores.settle(text[start:end], [(a - start, b - start, v) for a, b, v in found])
        if end > start:
            self._before = text[end - 1]
        self._held = text[end:]
        return shown


class _Known:
    """The surrogates as a pattern, and by their letters and digits alone."""

    __slots__ = (
        "_firsts", "_names", "_of_tag", "_of_word", "_pattern", "_streaming", "_words", "least",
        "may_be_in",
    )  # fmt: skip

    def __init__(self, tags: Mapping[str, str], words: Mapping[str, str]) -> None:
        self._pattern = _pattern(tags, words)
        self.may_be_in = self._pattern.search
        self._of_tag = {_bare(tag).upper(): value for tag, value in tags.items()}
        # What is shorter than the letters and digits of each has none in it: most of a reply.
        self.least = min(len(_bare(name)) for name in (*tags, *words))
        self._words = words
        self._of_word: dict[str, str] = {}
        for standin in words:
            self._of_word.setdefault(_bare(standin).lower(), standin)
        self._names = (*tags, *words)
        self._firsts: re.Pattern[str] | None = None
        self._streaming: _Heads | None = None

    def prepare(self) -> None:
        """For texts that come in pieces."""
        self._firsts, self._streaming = self.firsts, self.heads

    @property
    def firsts(self) -> re.Pattern[str]:
        """What a surrogate may begin with. Case folding makes letters of ASCII from some that are
        not: each of those may."""
        if self._firsts is None:
            first = {form for name in self._names for form in _first(name)}
            self._firsts = re.compile(f"[{re.escape(''.join(sorted(first)))}\x80-\U0010ffff]")
        return self._firsts

    @property
    def heads(self) -> _Heads:
        """Made when the first text comes in pieces."""
        if self._streaming is None:
            self._streaming = _Heads(self._names, self._of_tag, self._words)
        return self._streaming

    def may_begin(self, s: str, start: int) -> bool:
        """Whether a surrogate may begin in ``s`` from ``start`` on. False is certain."""
        return self.firsts.search(s, start) is not None

    def find(self, s: str, start: int) -> Iterator[tuple[int, int, str]]:
        """Where surrogates stand in ``s`` from ``start`` on, and what each stands for."""
        m = self._pattern.search(s, start)
        while m is not None:
            value = self._value(m)
            if value is not None:
                yield m.start(), m.end(), value
            # What only looks like a tag may have one inside.
            m = self._pattern.search(s, m.start() + 1 if value is None else m.end())

    def _value(self, m: re.Match[str]) -> str | None:
        """What the surrogate that was found stands for, in the case that it was found in; None for
        a tag of somebody else's."""
        found = m.group()
        if m.lastgroup == "tag":
            return self._of_tag.get(_bare(_NOISE.sub("", found)).upper())
        exact = self._words.get(found)
        if exact is not None:
            return exact
        standin = self._of_word[_bare(found).lower()]
        value = self._words[standin]
        if found.isupper() and not standin.isupper():
            return value.upper()
        return value.lower() if found.islower() and not standin.islower() else value


class _Heads:
    """How the surrogates may begin, for a text of which the end is not there yet."""

    __slots__ = ("_ends", "_heads", "_tag_heads", "longest")

    def __init__(
        self, names: Sequence[str], of_tag: Mapping[str, str], words: Mapping[str, str]
    ) -> None:
        self.longest = max(len(name) + _MAX_GAP * (1 + len(_SIGNS.findall(name))) for name in names)
        self._tag_heads = frozenset(t[:i] for t in of_tag for i in range(1, len(t)))
        # Of stand-ins the whole one too, and a genitive's s: that the word ends there is not known
        # yet. And where one may end with another still to come.
        self._heads: set[str] = set()
        self._ends: set[str] = set()
        for standin in words:
            pieces = [p.lower() for p in _SIGNS.split(standin) if p]
            bare = "".join(pieces)
            self._heads.update(bare[:i] for i in range(1, len(bare) + 1))
            self._heads.add(bare + "s")
            self._ends.update("".join(pieces[:i]) for i in range(1, len(pieces)))

    def begins(self, s: str, at: int) -> bool:
        """Whether ``s`` from ``at`` to its end may be the beginning of a surrogate."""
        if not s[at].isalnum():
            return False
        tail = s[at:]
        if self._tag_heads and _NOISE.sub("", tail).upper() in self._tag_heads:
            return True
        if not self._heads or (at and s[at - 1].isalnum()):
            return False
        gaps = _SIGNS.findall(tail)
        if gaps and len(gaps[-1]) > _MAX_GAP:
            return False
        return _bare(tail).lower() in (self._heads if tail[-1].isalnum() else self._ends)


def _pattern(tags: Mapping[str, str], words: Mapping[str, str]) -> re.Pattern[str]:
    """Whatever may be a surrogate of this request, and the tags of others."""
    kinds = {(kind, len(letters)) for kind, _, letters in (tag.rpartition("_") for tag in tags)}
    if not words:
        return _tags(frozenset(kinds))
    of_words = _stand_ins(words)
    return re.compile(f"{_tags(frozenset(kinds)).pattern}|{of_words}" if kinds else of_words)


@lru_cache(maxsize=256)
def _tags(kinds: frozenset[tuple[str, int]]) -> re.Pattern[str]:
    """Tags of these kinds with so many letters, whoever issued them: to compile a pattern of the
    very ones takes longer than to read most texts. Longest first; ASCII inside: Unicode case
    folding would let "ſ" stand for "s"."""
    each = (
        _JOIN.join([*map(re.escape, kind.split("_")), f"[A-Z0-9]{{{size}}}"])
        for kind, size in sorted(kinds, key=lambda kind: (-len(kind[0]), kind))
    )
    return re.compile(rf"(?P<tag>(?ai:{'|'.join(each)}))")


def _stand_ins(words: Mapping[str, str]) -> str:
    """These very words, the longest first, so that none is taken for the beginning of another."""
    each = (
        (_GAP if name.replace(" ", "").isalpha() else _TIGHT).join(
            map(re.escape, filter(None, _SIGNS.split(name)))
        )
        for name in sorted(words, key=len, reverse=True)
    )
    return rf"(?<![^\W_])(?P<word>(?i:{'|'.join(each)}))(?=s?(?![^\W_]))"


def _first(name: str) -> str:
    """The letter or digit that a surrogate begins with, in all its cases."""
    first = _bare(name)[:1] or name[:1]
    cases = {first.lower(), first.upper(), first.casefold()}
    return "".join(form for case in cases for form in (case.lower(), case.upper()))


def _bare(text: str) -> str:
    """Its letters and digits."""
    return _SIGNS.sub("", text)


def _escaped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
