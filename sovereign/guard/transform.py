"""Writes masks and surrogates in place of what is held back; everything else stays as it was."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sovereign.guard.body import Leaf, rebuild
from sovereign.guard.documents.text import visible
from sovereign.guard.scan import Hit
from sovereign.guard.surrogates import Surrogates, mask
from sovereign.types import JSON, Action, Finding, Path

__all__ = ["REST", "Transformed", "held_back", "quoted", "said_by", "transform", "value_of"]

REST = "recurrence:rest"
"""The recogniser of what is left of a recurrence that another finding has a part of: it is taken
out, but is no value of its own, to be looked for elsewhere ("short" of "short short short")."""


@dataclass(frozen=True, slots=True)
class Transformed:
    """The body as it may leave, the values that were taken out with
    their entities, what stands in their place, and the leaves that changed."""

    body: JSON
    values: Mapping[str, str]
    placeholders: frozenset[str]
    replaced: Mapping[Path, str]

    def __repr__(self) -> str:
        return f"Transformed({len(self.values)} values)"


def _glued(text: str, found: Finding) -> bool:
    """Whether a letter or digit touches the finding."""
    before = text[max(0, found.start - 1) : found.start]  # one, whatever the text's length
    after = text[found.end : found.end + 1]
    return before.isalnum() or after.isalnum()


_HELD_BACK = (Action.PSEUDONYMIZE, Action.MASK)


def held_back(action: Action) -> bool:
    """Whether values under ``action`` are taken out of the text."""
    return action in _HELD_BACK


def value_of(leaf: Leaf, hit: Hit) -> str:
    """The value as a person would write it: JSON escapes of nested strings are undone, and so are
    the tags and entities of HTML."""
    found = hit.finding
    text = leaf.text[found.start : found.end]
    if found.view == "text" and not hit.levels:
        return text
    if found.view.startswith("html"):
        shown = visible(text)
        return html.unescape(shown[0] if shown else text)
    for _ in range(0 if hit.bare else hit.levels):
        try:
            text = json.loads(f'"{text}"', strict=False)
        except ValueError:
            break
    return text


def said_by(leaves: Sequence[Leaf], hits: Sequence[Hit]) -> list[tuple[str, str]]:
    """What each hit is: its entity and its value. Most values stand there as they are."""
    return [
        (
            found[3],
            leaves[hit[0]].text[found[1] : found[2]]
            if found[6] == "text" and not hit[2]
            else value_of(leaves[hit[0]], hit),
        )
        for hit in hits
        for found in (hit[1],)
    ]


def quoted(new: str, hit: Hit) -> str:
    """``new`` as it may stand where ``hit`` was: a number inside nested JSON becomes a string."""
    if not hit.bare:
        return new
    quote = '"'
    for _ in range(hit.levels - 1):
        quote = json.dumps(quote)[1:-1]
    return f"{quote}{new}{quote}"


def transform(
    body: JSON,
    leaves: Sequence[Leaf],
    hits: Sequence[Hit],
    said: Sequence[tuple[str, str]],
    actions: Sequence[Action],
    surrogates: Surrogates,
) -> Transformed:
    """``hits`` are disjoint and in order, and run parallel to ``actions`` and to what they
    are, entity and value."""
    edits: dict[int, list[tuple[int, int, str]]] = {}
    values: dict[str, str] = {}
    made: dict[tuple[str, str], str] = {}  # a chat says the same few things over and over
    placeholders: set[str] = set()
    realistic = surrogates.realistic
    for hit, one, action in zip(hits, said, actions, strict=True):
        if action not in _HELD_BACK:
            continue
        index, found, _, bare = hit
        _, start, end, entity, _, recognizer, _ = found
        new = made.get(one)
        if new is None:
            _, value = one
            if action is Action.MASK:
                new = mask(entity)
            else:
                glued = realistic and _glued(leaves[index].text, found)
                new = surrogates.of(entity, value, glued=glued)
            placeholders.add(new)
            if not realistic:  # else it depends on what is around, too
                made[one] = new
        if recognizer != REST:
            values[one[1]] = entity
        if index not in edits:
            edits[index] = []
        edits[index].append((start, end, quoted(new, hit) if bare else new))
    replaced: dict[Path, str] = {}
    for index, changes in edits.items():
        leaf = leaves[index]
        if leaf.kind == "number":  # half a number is no number
            replaced[leaf.path] = changes[0][2]
            continue
        text, at = leaf.text, 0
        parts: list[str] = []
        for start, end, new in changes:
            parts += (text[at:start], new)
            at = end
        parts.append(text[at:])
        replaced[leaf.path] = "".join(parts)
    return Transformed(
        rebuild(body, replaced) if replaced else body,
        values,
        frozenset(placeholders),
        replaced,
    )
