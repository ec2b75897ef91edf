"""The readings of one leaf: as written, normalised, decoded; each maps back to its characters.

Most texts are plain and have one reading. What is decoded is read again, to a bounded depth, with
some of its surroundings, so that a label before an encoded value still counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sovereign.guard import decode, nested
from sovereign.guard.body import Leaf
from sovereign.guard.cache import Once
from sovereign.guard.normalise import normalise

__all__ = [
    "DEPTH",
    "Mapped",
    "Reading",
    "of_leaf",
    "of_mapped",
    "plain",
    "readings",
    "with_label",
]

DEPTH = 4
_PROSE = frozenset(
    {"content", "text", "input", "prompt", "arguments", "output", "description", "system", "id"}
    | {"instructions", "messages", "message", "parts", "role", "type", "stop", "required", "enum"}
)
"""Keys that say nothing of what stands under them, so they are no label."""

LABELLED = 200
"""Characters of a text that has a label: what is longer says itself what it is."""
AROUND = 80
"""Characters before and after a decoded stretch that are read with it."""


class Mapped(NamedTuple):
    """A text and, for each of its characters, the stretch of the original that carries it.
    ``None`` stands for the identity."""

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def __repr__(self) -> str:
        return f"Mapped({len(self.text)} characters)"

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original's stretch behind ``text[start:end]``, which must not be empty."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]  # maps never step back

    def compose(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> Mapped:
        """``text``, whose characters carry stretches of *this* text, mapped to the original."""
        if self.starts is None or self.ends is None:
            return Mapped(text, starts, ends)
        pairs = [
            self.span(s, e) if s < e else (self._edge(s),) * 2
            for s, e in zip(starts, ends, strict=True)
        ]
        return Mapped(text, [p[0] for p in pairs], [p[1] for p in pairs])

    def _edge(self, at: int) -> int:
        assert self.starts is not None
        assert self.ends is not None
        return self.starts[at] if at < len(self.starts) else (self.ends[-1] if self.ends else 0)


class Reading(NamedTuple):
    """One way to read a leaf. ``text`` may begin with ``lead`` characters of label that are not in
    the leaf. ``segments`` are what was decoded: ``(start, end, kind)``; with any, only findings
    that touch one count, since the rest was read before."""

    mapped: Mapped
    view: str
    lead: str = ""
    segments: tuple[tuple[int, int, str], ...] = ()
    levels: int = 0
    bare: bool = False
    name: bytes | None = None
    """A keyed hash of the leaf's text, if this reading is all of it, as it is written."""

    def __repr__(self) -> str:
        return f"Reading({self.view}, {len(self.mapped.text)} characters)"

    @property
    def text(self) -> str:
        """What the recognisers get."""
        return self.lead + self.mapped.text

    @property
    def as_written(self) -> bool:
        """Whether it is the leaf's text itself, as most are: each place in it is one there."""
        return self.mapped.starts is None and not (self.lead or self.segments or self.bare)

    def origin(self, start: int, end: int) -> tuple[int, int, str] | None:
        """The leaf's stretch behind a finding in :attr:`text`, and the view's name; ``None`` if it
        is not in the leaf, or was read before."""
        if self.as_written:
            return start, end, self.view
        start, end = max(0, start - len(self.lead)), end - len(self.lead)
        if start >= end:
            return None
        view = self.view
        if self.segments:
            kinds = [k for s, e, k in self.segments if s <= end and start <= e]
            if not kinds:
                return None
            view = "+".join(dict.fromkeys(kinds))
        if self.bare:
            start, end = 0, len(self.mapped.text)
        begin, finish = self.mapped.span(start, end)
        return begin, finish, view


def of_leaf(leaf: Leaf) -> tuple[Reading, ...]:
    """Every reading of ``leaf``, with the key it stands under as label."""
    text = leaf.text
    name = _PLAIN.name(text)
    known = _PLAIN.knows(name)
    if known and len(text) > LABELLED:
        return (_as_written(text, "", name),)
    label = "" if leaf.kind == "key" else _label(leaf)
    if known:
        return (_as_written(text, with_label(label, text), name),)
    found = tuple(readings(text, label=label))
    if len(found) == 1 and found[0].view == "text" and found[0].mapped.starts is None:
        _PLAIN.add(name)
    return found


def _as_written(text: str, lead: str, name: bytes) -> Reading:
    """Made in half the time of the constructors: a chat has many turns."""
    mapped = _new(Mapped, (text, None, None))
    return _new(Reading, (mapped, "text", lead, (), 0, False, name))


_new: Final = tuple.__new__


def shown(text: str) -> Sequence[str]:
    """What every reading of ``text`` says, whatever it stands under."""
    if _PLAIN.knows(_PLAIN.name(text)):
        return (text,)
    return [reading.mapped.text for reading in of_leaf(Leaf((), text, "text"))]


_PLAIN = Once()
"""Texts with one reading, as they are written. Looking for what might be encoded in a text takes
longer than all the rest does for one that was seen before."""


def plain(texts: Sequence[str]) -> list[bool]:
    """Whether each of many short texts has one reading, as it is written. They are looked at
    together, and apart only where they have to be."""
    found = [not (nested.looks_nested(text) and nested.tokens(text)) for text in texts]
    waiting = [[n for n, one in enumerate(found) if one]]
    while waiting:
        some = waiting.pop()
        mapped = Mapped("\n\n".join([texts[n] for n in some]))
        if normalise(mapped) is mapped and not decode.segments(mapped.text):
            continue
        if len(some) == 1:
            found[some[0]] = False
        else:
            half = len(some) // 2
            waiting += [some[:half], some[half:]]
    return found


def with_label(label: str, text: str) -> str:
    """What stands before ``text`` in its reading if it stands under ``label``: ``label: ``, if that
    says something of a text of its length."""
    return f"{label}: " if label and label not in _PROSE and len(text) <= LABELLED else ""


def _label(leaf: Leaf) -> str:
    """The key that ``leaf`` stands under; "customer id" for ``{"customer": {"id": …}}``."""
    if leaf.label.lower() not in nested.BARE:
        return leaf.label
    keys = [part for part in leaf.path if isinstance(part, str)]
    return nested.labelled(keys[-2], leaf.label) if len(keys) > 1 else leaf.label


def of_mapped(mapped: Mapped, view: str) -> tuple[Reading, ...]:
    """Every reading of a text that was made out of a leaf, such as what HTML shows."""
    return tuple(_read(mapped, "", view, 0, DEPTH, False))


def readings(text: str, *, label: str = "") -> Iterator[Reading]:
    """Every reading of a leaf. ``label`` is the key that it stands under."""
    yield from _read(Mapped(text), label, "text", 0, DEPTH, False)


def _read(
    mapped: Mapped, label: str, view: str, levels: int, depth: int, bare: bool
) -> Iterator[Reading]:
    if depth > 0 and not bare and nested.looks_nested(mapped.text):
        tokens = nested.tokens(mapped.text)
        if tokens is not None:
            for token in tokens:
                inner = mapped.compose(token.text, token.starts, token.ends)
                yield from _read(inner, token.label, "json", levels + 1, depth - 1, token.bare)
            return
    plain = normalise(mapped)
    if plain is not mapped:
        view = "nfkc" if view == "text" else f"{view}+nfkc"
    lead = with_label(label, plain.text)
    yield Reading(plain, view, lead, (), levels, bare)
    current = plain
    for _ in range(depth - 1):
        found = decode.segments(current.text)
        if not found:
            return
        current, marks = _decoded(current, found)
        current = normalise(current) if not current.text.isascii() and not marks else current
        yield Reading(current, view, lead, marks, levels, bare)


def _decoded(
    mapped: Mapped, found: Sequence[decode.Segment]
) -> tuple[Mapped, tuple[tuple[int, int, str], ...]]:
    """The surroundings of the decoded stretches, with these decoded."""
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    marks: list[tuple[int, int, str]] = []

    def copy(start: int, end: int) -> None:
        parts.append(mapped.text[start:end])
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))

    at = 0
    for i, segment in enumerate(found):
        begin = max(at, segment.start - AROUND)
        if begin > at and parts:
            parts.append("\n")
            starts.append(at)
            ends.append(at)
        copy(begin, segment.start)
        mark = len(starts)
        inner = normalise(Mapped(segment.text, segment.starts, segment.ends))
        parts.append(inner.text)
        starts.extend(inner.starts or ())
        ends.extend(inner.ends or ())
        marks.append((mark, len(starts), segment.kind))
        following = found[i + 1].start if i + 1 < len(found) else len(mapped.text)
        at = min(segment.end + AROUND, following)
        copy(segment.end, at)
    return mapped.compose("".join(parts), starts, ends), tuple(marks)
