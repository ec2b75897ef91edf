"""Which labels may begin at a word, by its first letters: so that a text is read once, and not once
for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["FIRST", "by_opening", "openings"]

FIRST = 5
"""Letters of a word that choose its labels."""

_Part = tuple[str, bool]
"""The letters so far, and whether the word ends after them."""


def by_opening(patterns: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    """From the first letters of a word to the places of the ``patterns`` that may match there."""
    found: dict[str, tuple[int, ...]] = {}
    for i, pattern in enumerate(patterns):
        for opening in openings(pattern):
            found[opening] = (*found.get(opening, ()), i)
    return found


def openings(pattern: str) -> set[str]:
    """The first letters, in lower case, of all words that ``pattern`` may begin with. It knows what
    the table of labels uses: letters, groups, sets, ``?``, ``{m,n}`` and ``*``."""
    parts, end = _choice(pattern, 0)
    if end != len(pattern):
        raise ValueError(f"{pattern}: unbalanced at {end}")
    if any(not letters for letters, _ in parts):
        raise ValueError(f"{pattern}: may begin with no letter")
    return {letters.lower() for letters, _ in parts}


def _choice(p: str, at: int) -> tuple[set[_Part], int]:
    found: set[_Part] = set()
    current: set[_Part] = {("", False)}
    while at < len(p) and p[at] != ")":
        if p[at] == "|":
            found |= current
            current = {("", False)}
            at += 1
            continue
        atom, at = _atom(p, at)
        if p.startswith("?", at):
            atom, at = atom | {("", False)}, at + 1
        elif p.startswith("*", at):
            atom, at = atom | {("", True)}, at + 1
        elif p.startswith("{", at):
            if p[at + 1] == "0":
                atom = atom | {("", False)}
            at = p.index("}", at) + 1
        current = {
            (have[:FIRST], ended) if ended or len(have) >= FIRST else ((have + more)[:FIRST], ends)
            for have, ended in current
            for more, ends in atom
        }
    return found | current, at


def _atom(p: str, at: int) -> tuple[set[_Part], int]:
    if p.startswith("(?:", at):
        inside, end = _choice(p, at + 3)
        return inside, end + 1
    if p[at] == "[":
        end = p.index("]", at)
        signs = p[at + 1 : end]
        if signs == "a-z":
            return {(chr(c), False) for c in range(97, 123)}, end + 1
        parts = {(c, False) for c in signs if c.isalpha() and not _escaped(signs, c)}
        return parts | ({("", True)} if any(not c.isalpha() for c in signs) else set()), end + 1
    if p[at] == "\\":
        return {("", True)}, at + 2
    return {(p[at], False) if p[at].isalpha() else ("", True)}, at + 1


def _escaped(signs: str, c: str) -> bool:
    return f"\\{c}" in signs
