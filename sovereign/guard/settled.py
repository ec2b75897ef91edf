"""What the findings of one leaf come to by themselves, remembered: so that a turn that was seen
before is not looked through again.

A name is a keyed hash of the text, its kind and label, and of the rules it was decided by. Held are
offsets and entities, never a text; bounded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sovereign.guard import rules
from sovereign.guard.body import Leaf
from sovereign.guard.scan import Hit
from sovereign.guard.shapes import KEYS
from sovereign.guard.views import Reading
from sovereign.types import Finding, Path

__all__ = ["Own", "Settled", "are_clear_of"]

ENTRIES = 20_000
MOST = 64
"""A text with more findings is no turn of a chat."""
FEW = 16
"""So many findings are kept where they stood, too."""
MANY = 64
"""Ids of values that are kept with a leaf, beside those of the last request."""


@dataclass(slots=True)
class Own:
    """A leaf's own findings: disjoint, in order, without a path. ``clear_of`` are ids of values of
    other leaves that were looked for in it, and stand nowhere but in these findings."""

    findings: tuple[Finding, ...]
    clear_of: frozenset[bytes] = frozenset()
    _entities: tuple[str, ...] = field(init=False)
    _places: tuple[slice, ...] = field(init=False)
    _placed: tuple[int, Path, tuple[Hit, ...]] | None = None

    def __post_init__(self) -> None:
        self._entities = tuple([found.entity for found in self.findings])
        self._places = tuple([slice(found.start, found.end) for found in self.findings])

    def said(self, text: str) -> Iterable[tuple[str, str]]:
        """What the findings are in their text, entity and value: it is plain, so they stand there
        as they are."""
        return zip(self._entities, map(text.__getitem__, self._places), strict=True)

    def at(self, index: int, path: Path) -> tuple[Hit, ...]:
        """The findings, in the leaf of this number and path. A turn of a chat mostly stands where
        it stood the last time."""
        placed = self._placed
        if placed is None or placed[0] != index or placed[1] != path:
            hits = tuple(Hit(index, Finding(path, *found[1:])) for found in self.findings)
            placed = (index, path, hits)
            # A key may be anybody's name: only those of the wire are kept.
            if len(hits) <= FEW and all(isinstance(s, int) or s in KEYS for s in path):
                self._placed = placed
        return placed[2]


def are_clear_of(leaves: Iterable[Own], ids: frozenset[bytes]) -> None:
    """Add ``ids`` to what they are clear of; another thread may look meanwhile, and miss some.
    Leaves that were looked through together share one set."""
    before: frozenset[bytes] | None = None
    after = ids
    for own in leaves:
        if own.clear_of is not before:
            before = own.clear_of
            after = before | ids if len(before) < MANY else ids
        own.clear_of = after


Name = tuple[bytes, str, str, rules.Where]


class Settled:
    """Belongs to one list of recognisers. Thread-safe."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._new: dict[Name, Own] = {}
        self._old: dict[Name, Own] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Settled({len(self._new)} texts)"

    def get(self, name: Name) -> Own | None:
        """What was put under ``name``, if that is not too long ago."""
        found = self._new.get(name)
        if found is None:
            found = self._old.get(name)
            if found is not None:
                self.put(name, found)
        return found

    def learn(self, name: Name, findings: tuple[Finding, ...]) -> None:
        """Remember what a text's own findings came to."""
        self.put(name, Own(findings))

    def put(self, name: Name, found: Own) -> None:
        """Two generations: the older one is dropped whole."""
        if len(found.findings) > MOST:
            return
        with self._lock:
            if len(self._new) >= self._entries:
                self._old, self._new = self._new, {}
            self._new[name] = found

    def names(
        self, leaves: Sequence[Leaf], readings: Sequence[Sequence[Reading]], by: rules.Where
    ) -> dict[int, Name]:
        """The leaves whose findings can be remembered: plain texts that were seen before."""
        return {
            index: (reading[0].name, leaves[index].kind, reading[0].lead, by)
            for index, reading in enumerate(readings)
            if len(reading) == 1 and reading[0].name is not None
        }
