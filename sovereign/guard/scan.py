"""Runs every recogniser over every reading of every leaf, within one deadline, and fails closed.

Offsets of what it returns are those of the original leaf, whatever view it was seen in.
"""

from __future__ import annotations

import bisect
import re
import time
from collections.abc import Container, Iterator, MutableMapping, Sequence
from typing import Final, NamedTuple, TypeVar

from sovereign.errors import GuardError, RecognizerFailed
from sovereign.guard import joined, nested
from sovereign.guard.body import Leaf
from sovereign.guard.cache import Cache, Once
from sovereign.guard.chance import part_of, random_ids
from sovereign.guard.views import Reading
from sovereign.types import Finding, Recognizer

__all__ = ["Deadline", "Hit", "Scanner"]

T = TypeVar("T")

CHUNK, OVERLAP = 32_768, 4_096
"""Code points. Longer readings are cut so that time stays linear; the overlap is longer than
anything a recogniser finds, so a cut loses nothing."""

BETWEEN = "\n\n"
FAR = f"\n\n{' ' * 320}\n\n"
"""Between texts that are not to be taken for each other's surroundings."""

JUDGED = 0.999
"""The most that is believed of what was judged by words: one is for what was checked, which goes
before all else."""

ALONE = 0.95
"""The score from which what is known by words needs nothing near it that is known, too."""

LABELLED = frozenset({"IDENTIFIER", "USERNAME", "SECRET"})
"""Known by the words before them. Without any, a recogniser that judges by words only guesses."""

_ADDRESS = re.compile(r"\w[\w.%'+-]*@[\w-]+(?:\.[\w-]+)+")

SURE = 0.5
"""What a joined view shows counts from here on: two numbers side by side look like many things."""


class Hit(NamedTuple):
    """A finding and which leaf it is in. ``levels``: how many JSON strings deep it stands inside
    the leaf; ``bare``: it is a whole JSON number there, so what replaces it needs quotes."""

    leaf: int
    finding: Finding
    levels: int = 0
    bare: bool = False


class Deadline:
    """Seconds that one request's recognisers may take together."""

    __slots__ = ("_end", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self, recognizer: str) -> None:
        """Raises :class:`RecognizerFailed` naming ``recognizer`` if the time is up."""
        if time.monotonic() > self._end:
            raise RecognizerFailed(f"{recognizer}: the deadline of {self.seconds:g} s has passed")


class Scanner:
    """The recognisers, in order, and the findings they made on texts they saw before."""

    def __init__(self, recognizers: Sequence[Recognizer], *, cache_key: bytes) -> None:
        self._recognizers = tuple(recognizers)
        self._by_words = frozenset(r.name for r in recognizers if getattr(r, "by_words", False))
        self._cache = Cache(cache_key)
        self._apart = Once()  # neighbours that share no value
        self.quick = all(getattr(r, "quick", False) for r in recognizers)
        """Whether no recogniser takes long over a short text."""

    @property
    def cache_counts(self) -> tuple[int, int]:
        """Texts that were seen before, and that were not."""
        return self._cache.hits, self._cache.misses

    @property
    def second_share(self) -> float | None:
        """The share of characters so far that a second opinion read; ``None`` if there is none."""
        shares = (getattr(r, "share", None) for r in self._recognizers)
        return next((share for share in shares if isinstance(share, float)), None)

    def scan(
        self,
        leaves: Sequence[Leaf],
        readings: Sequence[Sequence[Reading]],
        deadline: Deadline,
        *,
        fresh: bool = False,
        known: MutableMapping[int, T] | None = None,
        joined_to: int | None = None,
    ) -> list[Hit]:
        """Everything found, overlaps and weak scores included. ``readings`` runs parallel to
        ``leaves``. ``fresh`` asks no cache.

        Leaves in ``known`` are not looked at by themselves. One that holds a part of what stands in
        several leaves is taken out of it: what is known of it is not all. Leaves from ``joined_to``
        on are texts of documents: each ends where it ends.
        """
        settled: MutableMapping[int, T] = {} if known is None else known
        hits: list[Hit] = []
        names = [reading[0].name if len(reading) == 1 else None for reading in readings]
        across = self._across(leaves[:joined_to], names, deadline, fresh=fresh)
        for hit in across:
            settled.pop(hit.leaf, None)
        for index, leaf in enumerate(leaves):
            if index in settled:
                continue
            for reading in readings[index]:
                text, view, as_written = reading.text, reading.view, reading.as_written
                for found in self.recognize(text, deadline, fresh=fresh):
                    start, end = found.start, found.end
                    place = (start, end, view) if as_written else reading.origin(start, end)
                    if place is None:
                        continue
                    if found.recognizer in self._by_words:
                        alone = start == 0 and end == len(text)
                        if not self._credible(found, leaf.kind, alone=alone):
                            continue
                    finding = _moved(found, leaf, *place)
                    hits.append(Hit(index, finding, reading.levels, reading.bare))
        return hits + across

    def scan_together(
        self, texts: Sequence[tuple[int, str, str]], deadline: Deadline
    ) -> tuple[list[Hit], set[int]]:
        """Everything found in short texts that have one reading, read as the lines of one: each by
        itself costs as much as a page does. A text comes with the number of what it is a part
        of, in order, and the label before it. ``leaf`` of a hit is its place among them. Only texts
        of one number lend each other certainty.

        The second are those across whose edge something was found: they have to be scanned by
        themselves."""
        parts = _Together(texts, apart=False)
        hits: list[Hit] = []
        across: set[int] = set()
        doubted: set[int] = set()
        for found in self.recognize(parts.text, deadline, fresh=True):
            index, own = parts.own(found)
            if own is None:
                across.update(range(index, parts.after(found.end)))
            elif self._credible(found, "text", alone=parts.alone(index, found)):
                if found.recognizer in self._by_words and found.score < ALONE:
                    doubted.add(texts[index][0])
                elif own.end > 0:
                    hits.append(Hit(index, own))
        if doubted:
            hits += self._by_themselves(texts, doubted, deadline)
        return hits, across

    def _by_themselves(
        self, texts: Sequence[tuple[int, str, str]], wanted: Container[int], deadline: Deadline
    ) -> Iterator[Hit]:
        """What is less than sure in those texts if nothing stands near them but their own."""
        places = [place for place, (number, _, _) in enumerate(texts) if number in wanted]
        parts = _Together([texts[place] for place in places], apart=True)
        for found in self.recognize(parts.text, deadline, fresh=True, by_words=True):
            index, own = parts.own(found)
            if (
                own is not None
                and own.end > 0
                and found.score < ALONE
                and self._credible(found, "text", alone=parts.alone(index, found))
            ):
                yield Hit(places[index], own)

    def _across(
        self,
        leaves: Sequence[Leaf],
        names: Sequence[bytes | None],
        deadline: Deadline,
        *,
        fresh: bool,
    ) -> list[Hit]:
        """What stands in several leaves. Neighbours in which nothing did are not joined again."""
        if len(leaves) == 1 and not nested.looks_nested(leaves[0].text):
            return []
        hits: list[Hit] = []
        for step in joined.steps(leaves, names, _never if fresh else self._apart.knows):
            shared = [
                hit
                for piece in step.pieces
                for hit in self._shared(piece, leaves, deadline, fresh=fresh)
            ]
            hits += shared
            if step.name is not None and not shared and not fresh:
                self._apart.add(step.name)
        return hits

    def _shared(
        self, piece: joined.Piece, leaves: Sequence[Leaf], deadline: Deadline, *, fresh: bool
    ) -> Iterator[Hit]:
        for found in self.recognize(piece.text, deadline, fresh=fresh):
            places = piece.origin(found.start, found.end)
            if self._credible_across(found, leaves, places) and not self._longer(
                found, leaves, places, deadline
            ):
                for index, start, end in places:
                    yield Hit(index, _moved(found, leaves[index], start, end, "joined"))

    def _longer(
        self,
        found: Finding,
        leaves: Sequence[Leaf],
        places: Sequence[tuple[int, int, int]],
        deadline: Deadline,
    ) -> bool:
        """Whether what was joined only makes a whole value longer by the next leaf: an address at
        the end of a sentence by a name, an account number, a key or a link by a word."""
        parts = [leaves[index].text[start:end] for index, start, end in places]
        if found.recognizer.startswith("labels:"):
            return any(not any(c.isdigit() for c in part) for part in parts[1:])
        if found.entity == "SECRET" and any(c.isdigit() for part in parts[1:] for c in part):
            return False  # the other half of a key mostly has one
        if found.entity not in ("EMAIL_ADDRESS", "URL", "SECRET"):
            return False
        # What follows a whole one is more; what goes before may be the name that it begins with.
        one_leaf = len({index for index, _, _ in places}) == 1
        return any(
            _ADDRESS.fullmatch(part) is not None  # also if it is nobody's, and not found
            or any(
                alone.entity == found.entity and alone.start == 0 and alone.end >= len(part) - 1
                for alone in self.recognize(part, deadline)
            )
            for part in (parts if one_leaf else parts[:1])
        )

    def recognize(
        self, text: str, deadline: Deadline, *, fresh: bool = False, by_words: bool = False
    ) -> list[Finding]:
        """All findings of all recognisers in one text; ``by_words``: of those only that judge by
        the words around. What is ``fresh`` is not remembered either."""
        name = b"" if fresh else self._cache.name(text)
        known = None if fresh else self._cache.get(name)
        if known is not None:
            return list(known)
        found: list[Finding] = []
        for offset, chunk in chunks(text):
            ids = random_ids(chunk)
            for recognizer in self._recognizers:
                if by_words and recognizer.name not in self._by_words:
                    continue
                judged = recognizer.name in self._by_words
                for finding in _run(recognizer, chunk):
                    if judged and finding.score > JUDGED:
                        finding = _less_sure(finding)
                    if ids and finding.score < 1 and part_of(ids, finding.start, finding.end):
                        continue
                    found.append(_shifted(finding, offset) if offset else finding)
                deadline.check(recognizer.name)
        if not fresh:
            self._cache.put(name, tuple(found))
        return found

    def _credible(self, found: Finding, kind: str, *, alone: bool) -> bool:
        """A bare number has no words around it (``"max_tokens": 2048`` is no year), and what is
        known by its label is nothing if it stands alone (``"name": "get_weather"``)."""
        if found.recognizer not in self._by_words:
            return True
        return kind not in ("number", "mark") and not (alone and found.entity in LABELLED)

    def _credible_across(
        self, found: Finding, leaves: Sequence[Leaf], places: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Leaves joined without a gap are no sentence, and half a number is no part of a value."""
        return (
            found.recognizer not in self._by_words
            and found.score >= SURE
            and all(
                leaves[index].kind != "number" or (start, end) == (0, len(leaves[index].text))
                for index, start, end in places
            )
        )


class _Together:
    """Short texts as the lines of one, and where each is in it; ``apart``: those of one number too
    far from all others for anything to count as near."""

    def __init__(self, texts: Sequence[tuple[int, str, str]], *, apart: bool) -> None:
        self._leads = [len(lead) for _, lead, _ in texts]
        self._sizes = [len(lead) + len(text) for _, lead, text in texts]
        self._starts: list[int] = []
        lines: list[str] = []
        at, last = 0, None
        for number, lead, text in texts:
            if lines:
                between = FAR if apart and number != last else BETWEEN
                lines.append(between)
                at += len(between)
            last = number
            self._starts.append(at)
            lines.append(lead + text)
            at += len(lead) + len(text)
        self.text = "".join(lines)

    def own(self, found: Finding) -> tuple[int, Finding | None]:
        """The text that ``found`` begins in, and the finding there, which ends before its first
        character if it is one of the label only; None if it goes on in another text."""
        index = bisect.bisect_right(self._starts, found.start) - 1
        lead, begin = self._leads[index], self._starts[index]
        if found.end - begin > self._sizes[index]:
            return index, None
        start, end = max(0, found.start - begin - lead), found.end - begin - lead
        return index, Finding((), start, end, found.entity, found.score, found.recognizer)

    def alone(self, index: int, found: Finding) -> bool:
        """Whether it is all of a text, label and all."""
        begin = self._starts[index]
        return (found.start, found.end) == (begin, begin + self._sizes[index])

    def after(self, end: int) -> int:
        """The first text that starts at ``end`` or later."""
        return bisect.bisect_left(self._starts, end)


def chunks(text: str) -> Iterator[tuple[int, str]]:
    """``text`` in overlapping pieces, with the offset of each."""
    if len(text) <= CHUNK:
        yield 0, text
        return
    for start in range(0, len(text) - OVERLAP, CHUNK - OVERLAP):
        yield start, text[start : start + CHUNK]


def _run(recognizer: Recognizer, text: str) -> list[Finding]:
    try:
        found = list(recognizer.recognize(text))
    except GuardError:
        raise
    except Exception as e:  # noqa: BLE001 - whatever a recogniser raises, nothing may leave
        # Not its message: that may quote the text.
        raise RecognizerFailed(f"{recognizer.name} raised {type(e).__name__}") from None
    for finding in found:
        if not 0 <= finding.start < finding.end <= len(text) or not 0 <= finding.score <= 1:
            raise RecognizerFailed(f"{recognizer.name} made a finding outside of the text")
    return found


def _shifted(f: Finding, by: int) -> Finding:
    return Finding((), f.start + by, f.end + by, f.entity, f.score, f.recognizer, f.view)


def _less_sure(f: Finding) -> Finding:
    return Finding((), f.start, f.end, f.entity, JUDGED, f.recognizer, f.view)


def _never(_: bytes) -> bool:
    return False


def _moved(f: Finding, leaf: Leaf, start: int, end: int, view: str) -> Finding:
    _, _, _, entity, score, recognizer, _ = f
    return _new(Finding, (leaf.path, start, end, entity, score, recognizer, view))


_new: Final = tuple.__new__  # in half the time of the constructor
