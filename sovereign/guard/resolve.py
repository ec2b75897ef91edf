"""Overlapping findings become disjoint, and what was found once is found wherever it recurs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from sovereign.guard.body import Leaf
from sovereign.guard.needles import Needles, name_parts
from sovereign.guard.scan import Hit
from sovereign.guard.settled import Own, are_clear_of
from sovereign.guard.transform import REST, held_back, said_by
from sovereign.guard.views import Reading
from sovereign.types import Action, Finding

__all__ = ["Chosen", "disjoint", "resolve"]

_SOMETHING = re.compile(r"[^\W_]")

RECURRENCE = 0.4
"""The score of a value that stands again: whoever sees it for itself sees it better."""

AGAIN = "recurrence"
"""Its recogniser."""


class Chosen(NamedTuple):
    """The hits to decide on, and beside each its entity and value."""

    hits: list[Hit]
    said: list[tuple[str, str]]

    def __repr__(self) -> str:
        return f"Chosen({len(self.hits)} hits)"


def resolve(
    leaves: Sequence[Leaf],
    readings: Sequence[Sequence[Reading]],
    hits: Sequence[Hit],
    acts: Callable[[str], Action],
    counts: Callable[[Finding], bool],
    known: Mapping[int, Own] | None = None,
    learn: Mapping[int, Callable[[tuple[Finding, ...]], None]] | None = None,
    like: Needles | None = None,
) -> Chosen:
    """The hits to decide on: disjoint, in order, strong enough to count, and repeated wherever a
    held-back value, or a part of a person's name, stands again.

    ``known`` are leaves whose own findings are disjoint already, and which ``hits`` leaves out;
    ``learn`` takes, for some others, what theirs come to. ``like``: as for :class:`Needles`.
    """
    chosen = disjoint(leaves, [h for h in hits if counts(h.finding)], acts)
    if learn:
        _teach(hits, chosen, learn)
    said = said_by(leaves, chosen)
    if known:
        chosen, said = _with_known(leaves, chosen, said, known)
    needles = Needles(like)
    for entity, value in dict.fromkeys(said):
        if held_back(acts(entity)):
            needles.add(value, entity)
            if entity == "PERSON":
                for part, any_case in name_parts(value):
                    needles.add(part, "PERSON", any_case=any_case)
    if not needles:
        return Chosen(chosen, said)
    again = _recurring(needles, leaves, readings, chosen, known or {})
    if not again:
        return Chosen(chosen, said)
    chosen = disjoint(leaves, [*chosen, *again], acts)
    return Chosen(chosen, said_by(leaves, chosen))


def _with_known(
    leaves: Sequence[Leaf], hits: list[Hit], said: list[tuple[str, str]], known: Mapping[int, Own]
) -> Chosen:
    theirs: list[Hit] = []
    they_said: list[tuple[str, str]] = []
    for index, own in known.items():
        path, text, _, _ = leaves[index]
        theirs += own.at(index, path)
        they_said += own.said(text)
    if not (hits and theirs and hits[0].leaf < theirs[-1].leaf):
        return Chosen(theirs + hits, they_said + said)  # what is new comes last, as in a chat
    # Both are in order, so this is one merge; within a leaf nothing moves.
    merged = sorted([*theirs, *hits], key=_leaf)
    return Chosen(merged, said_by(leaves, merged))


_leaf = attrgetter("leaf")
_start = attrgetter("finding.start")
_place = attrgetter("leaf", "finding.start")


def _teach(
    hits: Sequence[Hit],
    chosen: Sequence[Hit],
    learn: Mapping[int, Callable[[tuple[Finding, ...]], None]],
) -> None:
    """Say what each leaf's own findings came to, where no other leaf had a part in it."""
    across = {hit.leaf for hit in hits if hit.finding.view == "joined"}
    found: dict[int, list[Finding]] = {index: [] for index in learn if index not in across}
    for hit in chosen:
        if hit.leaf in found:
            f = hit.finding
            bare = Finding((), f.start, f.end, f.entity, f.score, f.recognizer, f.view)
            found[hit.leaf].append(bare)
    for index, own in found.items():
        learn[index](tuple(own))


def _places(chosen: Sequence[Hit]) -> dict[int, dict[str, list[tuple[int, int]]]]:
    """Where each entity was chosen, in order, by leaf."""
    found: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for hit in chosen:
        f = hit.finding
        found.setdefault(hit.leaf, {}).setdefault(f.entity, []).append((f.start, f.end))
    return found


def _recurring(
    needles: Needles,
    leaves: Sequence[Leaf],
    readings: Sequence[Sequence[Reading]],
    chosen: Sequence[Hit],
    known: Mapping[int, Own],
) -> list[Hit]:
    """Where the values stand again. In a leaf that was seen before only those are looked for that
    were not looked for in it then."""
    ids = needles.ids if known else frozenset()
    wanted: dict[frozenset[bytes], list[int]] = {}
    cleared: frozenset[bytes] | None = None
    rest = ids
    for index in range(len(leaves)):
        own = known.get(index)
        if own is None:
            wanted.setdefault(ids, []).append(index)
            continue
        clear = own.clear_of  # read once: another thread may give it another
        if clear is not cleared:  # leaves that were looked through together share it
            cleared, rest = clear, ids - clear
        if rest:
            wanted.setdefault(rest, []).append(index)
    again: list[Hit] = []
    for new, some in wanted.items():
        places = [(index, reading) for index in some for reading in readings[index]]
        again += _again(needles if new == ids else needles.only(new), leaves, places, chosen)
    full = {hit.leaf for hit in again}
    looked = [index for some in wanted.values() for index in some]
    are_clear_of([known[i] for i in looked if i in known and i not in full], ids)
    return again


def _again(
    needles: Needles,
    leaves: Sequence[Leaf],
    places: Sequence[tuple[int, Reading]],
    chosen: Sequence[Hit],
) -> Iterator[Hit]:
    """Recurrences, but not inside what was chosen as the same entity: each value stands in its own
    place, too."""
    found_in = list(needles.find_in([reading.text for _, reading in places]))
    if not found_in:
        return
    some = {places[number][0] for number, *_ in found_in}
    seen = _places([hit for hit in chosen if hit.leaf in some])
    for number, start, end, entity in found_in:
        index, reading = places[number]
        leaf, place = leaves[index], reading.origin(start, end)
        if place is not None:
            known = seen.get(index, {}).get(entity, ())
            k = bisect_right(known, (place[0], len(leaf.text))) - 1
            if k >= 0 and place[1] <= known[k][1]:
                continue
            found = Finding(leaf.path, place[0], place[1], entity, RECURRENCE, AGAIN, place[2])
            yield Hit(index, found, reading.levels, reading.bare)


def disjoint(
    leaves: Sequence[Leaf], hits: Sequence[Hit], acts: Callable[[str], Action]
) -> list[Hit]:
    """The stricter action wins, then what was validated, the longer, the more particular kind, the
    better scored. Of a loser that sticks out of a winner, the rest stays found."""
    out: list[Hit] = []
    for text, group in _groups(leaves, hits):
        if len(group) == 1:
            whole = group[0]
            if _tells(text, whole.finding):
                out.append(whole)
        else:
            out += _winners(text, sorted(group, key=partial(_rank, acts)))
    return out


def _tells(text: str, found: Finding) -> bool:
    """Whether anything stands there; what was decoded may stand in characters that nobody sees."""
    return found.view != "text" or _SOMETHING.search(text, found.start, found.end) is not None


def _groups(leaves: Sequence[Leaf], hits: Sequence[Hit]) -> Iterator[tuple[str, list[Hit]]]:
    """Those of one leaf that overlap, directly or through others, in order; and its text."""
    group: list[Hit] = []
    leaf, end = -1, 0
    for hit in sorted(hits, key=_place):
        f = hit.finding
        if hit.leaf == leaf and f.start < end:
            group.append(hit)
            end = max(end, f.end)
            continue
        if group:
            yield leaves[leaf].text, group
        leaf, end, group = hit.leaf, f.end, [hit]
    if group:
        yield leaves[leaf].text, group


def _rank(acts: Callable[[str], Action], hit: Hit) -> tuple[object, ...]:
    _, start, end, entity, score, _, _ = hit.finding
    action = acts(entity)
    tier = 0 if action >= Action.LOCAL else 1 if held_back(action) else 2
    return (tier, score < 1.0, start - end, entity == "IDENTIFIER", -score, entity, start)


def _winners(text: str, group: Sequence[Hit]) -> list[Hit]:
    """``group`` comes best first."""
    best = group[0].finding
    first = min([hit.finding.start for hit in group])
    last = max([hit.finding.end for hit in group])
    if best.start == first and best.end == last and _tells(text, best):
        return [group[0]]  # as mostly: nothing sticks out of it
    taken = bytearray(last - first)
    kept: list[Hit] = []
    for hit in group:
        f = hit.finding
        begin, finish = f.start - first, f.end - first
        whole = taken.find(1, begin, finish) < 0
        for a, b in ((begin, finish),) if whole else _free(begin, finish, taken):
            # What was decoded may stand in characters that nobody sees.
            hidden = whole and f.view != "text"
            if hidden or _SOMETHING.search(text, a + first, b + first) is not None:
                kept.append(hit if whole else _cut(hit, a + first, b + first))
                taken[a:b] = b"\1" * (b - a)
    kept.sort(key=_start)
    return kept


def _free(start: int, end: int, taken: bytearray) -> Iterator[tuple[int, int]]:
    """The stretches of ``[start, end)`` that nothing before took. Linear in its length, so that a
    body of a hundred thousand findings takes no longer per finding."""
    at = start
    while at < end:
        begin = taken.find(0, at, end)
        if begin < 0:
            return
        stop = taken.find(1, begin, end)
        at = end if stop < 0 else stop
        yield begin, at


def _cut(hit: Hit, start: int, end: int) -> Hit:
    f = hit.finding
    by = REST if f.recognizer == AGAIN else f.recognizer
    piece = Finding(f.path, start, end, f.entity, f.score, by, f.view)
    return Hit(hit.leaf, piece, hit.levels, hit.bare)
