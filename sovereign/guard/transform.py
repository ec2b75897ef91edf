"""Writes masks and surrogates in place of what is held back; everything else stays as it was."""

from __future__ import annotations

import html
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sovereign.guard.body import Leaf, rebuild
from sovereign.guard.documents.text import visible
from sovereign.guard.scan import Hit
from sovereign.guard.surrogates import Surrogates, mask
from sovereign.types import JSON, Action, Finding, Path

__all__ = ["REST", "Transformed", "held_back", "quoted", "transform", "value_of"]

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


_HELD_BACK = (Action.MASK, Action.PSEUDONYMIZE)


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
    said: Sequence[str],
    actions: Sequence[Action],
    surrogates: Surrogates,
) -> Transformed:
    """``hits`` are disjoint, and run parallel to ``actions`` and to the values that they are."""
    edits: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    values: dict[str, str] = {}
    placeholders: set[str] = set()
    realistic = surrogates.realistic
    for hit, value, action in zip(hits, said, actions, strict=True):
        if action not in _HELD_BACK:
            continue
        found = hit.finding
        if action is Action.PSEUDONYMIZE:
            glued = realistic and _glued(leaves[hit.leaf].text, found)
            new = surrogates.of(found.entity, value, glued=glued)
        else:
            new = mask(found.entity)
        if found.recognizer != REST:
            values[value] = found.entity
        placeholders.add(new)
        edits[hit.leaf].append((found.start, found.end, quoted(new, hit) if hit.bare else new))
    replaced: dict[Path, str] = {}
    for index, changes in edits.items():
        leaf = leaves[index]
        if leaf.kind == "number":  # half a number is no number
            replaced[leaf.path] = changes[0][2]
            continue
        parts, at = [], 0
        for start, end, new in sorted(changes):
            parts += [leaf.text[at:start], new]
            at = end
        replaced[leaf.path] = "".join([*parts, leaf.text[at:]])
    return Transformed(
        rebuild(body, replaced) if replaced else body,
        values,
        frozenset(placeholders),
        replaced,
    )
