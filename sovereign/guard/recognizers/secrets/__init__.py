"""Secrets: tokens by their issuer's prefix, characters and length; private keys; passwords in
addresses, configuration, commands and prose. What is random but no secret stays quiet: hashes,
UUIDs, lockfiles, images, public keys.

Why not a library: docs/decisions/0005-own-rules-for-secrets.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import compress

from sovereign.guard.glance import SPACE, classes
from sovereign.guard.recognizers.secrets.kinds import KINDS, LEAST, Kind
from sovereign.types import Finding

__all__ = ["SecretsRecognizer", "likely"]

_CLOSING = ".,;:!?"
_WORDS = classes((range(256), b"x"), (SPACE, b" "))
_RUN = b"x" * LEAST


_Hints = tuple[tuple[str, tuple[int, ...]], ...]


def _by_hint(wanted: Callable[[Kind, str], bool]) -> _Hints:
    found: dict[str, list[int]] = {}
    for i, kind in enumerate(KINDS):
        for hint in kind.hints:
            if wanted(kind, hint):
                found.setdefault(hint, []).append(i)
    return tuple((hint, tuple(kinds)) for hint, kinds in found.items())


_Group = tuple[str, tuple[str, ...], tuple[tuple[int, ...], ...]]
"""A sign, the hints that hold it, and the kinds of each."""


def _by_sign(hints: _Hints) -> tuple[_Group, ...]:
    """The hints by a sign that each holds, so that one look rules out many; "" is in all."""
    found: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for hint, kinds in hints:
        sign = next((sign for sign in '_-.:="' if sign in hint), "")
        found.setdefault(sign, []).append((hint, kinds))
    return tuple(
        (sign, tuple(hint for hint, _ in group), tuple(kinds for _, kinds in group))
        for sign, group in found.items()
    )


_ANYWHERE = _by_sign(_by_hint(lambda kind, hint: not kind.least))
_IN_RUNS = _by_sign(_by_hint(lambda kind, hint: kind.least > 0 and hint == hint.lower()))
_EXACT = _by_sign(_by_hint(lambda kind, hint: kind.least > 0 and hint != hint.lower()))
"""Which kinds each hint stands for. Most texts have few long runs, so most hints cost nothing."""


def likely(text: str) -> list[Kind]:
    """The kinds that may stand in ``text``: no other's pattern matches anywhere in it."""
    lowered = text.lower()
    looks = [(_ANYWHERE, lowered)]
    if _RUN in text.encode("latin-1", "replace").translate(_WORDS):
        runs = " ".join([run for run in text.split() if len(run) >= LEAST])
        looks += [(_IN_RUNS, runs.lower()), (_EXACT, runs)]
    found: set[int] = set()
    for groups, where in looks:
        for sign, hints, kinds in groups:
            if sign in where:
                found.update(*compress(kinds, map(where.__contains__, hints)))
    return [KINDS[i] for i in sorted(found)]


class SecretsRecognizer:
    """All kinds of this module; each finding names its kind."""

    name = "secrets"
    quick = True

    def __init__(self) -> None:
        text = "\n".join(f"{k.name} {k.score} {k.pattern.pattern}" for k in KINDS)
        self.build = hashlib.sha256(f"{text}\n1".encode()).hexdigest()

    def __repr__(self) -> str:
        return f"SecretsRecognizer({len(KINDS)} kinds)"

    def recognize(self, text: str) -> Sequence[Finding]:
        """The secrets in ``text``. Linear in its length."""
        return list(self._found(text))

    def _found(self, text: str) -> Iterator[Finding]:
        for kind in likely(text):
            group = "v" if "v" in kind.pattern.groupindex else 0
            for match in kind.pattern.finditer(text):
                start, end = match.span(group)
                if group == "v":
                    end -= len(match[group]) - len(match[group].rstrip(_CLOSING))
                if start < end and (kind.check is None or kind.check(text[start:end])):
                    yield Finding((), start, end, "SECRET", kind.score, f"secrets:{kind.name}")
