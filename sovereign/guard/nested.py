"""JSON inside a string, as in tool-call arguments: its strings, keys and numbers, each with its
place in the text, so that what is replaced leaves valid JSON behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sovereign.guard.body import strict_json

__all__ = ["BARE", "Token", "labelled", "looks_nested", "tokens"]

BARE = frozenset({"id", "no", "number", "num", "nr", "code", "value", "key", "name", "ref"})
"""Keys that only together with the key above them say what stands under them."""

_TOKEN = re.compile(
    r'"(?P<string>(?:[^"\\]|\\.)*)"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<mark>[{}\[\]:,])',
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    """One string, key or number of nested JSON. ``starts`` and ``ends`` place each character in the
    outer text; ``bare`` marks a number, ``key`` the name of a field."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    label: str
    bare: bool
    key: bool = False

    def __repr__(self) -> str:
        return f"Token({len(self.text)} characters)"


def looks_nested(text: str) -> bool:
    """A cheap first look: does ``text`` begin and end as an object or array does?"""
    head, tail = text[:64].lstrip()[:1], text[-64:].rstrip()[-1:]
    return (head == "{" and tail == "}") or (head == "[" and tail == "]")


def labelled(owner: str, key: str) -> str:
    """The label that a bare ``key`` makes with the key above it: "customer id"."""
    return owner if key.lower() == "value" else f"{owner} {key}"


def tokens(text: str) -> list[Token] | None:
    """The tokens of ``text``, or ``None`` if it is not strict JSON: it is read as it stands."""
    try:
        strict_json(text)
    except (ValueError, RecursionError):
        return None
    found: list[Token] = []
    labels: list[str] = [""]
    objects: list[bool] = [False]
    owners: list[str] = [""]
    key_next = False
    for match in _TOKEN.finditer(text):
        mark = match["mark"]
        if mark is not None:
            if mark in "{[":
                objects.append(mark == "{")
                owners.append(labels[-1])
                labels.append(labels[-1])
                key_next = mark == "{"
            elif mark in "}]":
                objects.pop()
                owners.pop()
                labels.pop()
                key_next = False
            else:
                key_next = mark == "," and objects[-1]
            continue
        if match["number"] is not None:
            begin, end = match.span("number")
            found.append(
                Token(
                    text[begin:end], range(begin, end), range(begin + 1, end + 1), labels[-1], True
                )
            )
            continue
        begin, end = match.span("string")
        value, starts, ends = _unescaped(text[begin:end], begin)
        if key_next:
            owned = owners[-1] and value.lower() in BARE
            labels[-1] = labelled(owners[-1], value) if owned else value
            found.append(Token(value, starts, ends, "", False, key=True))
        else:
            found.append(Token(value, starts, ends, labels[-1], False))
    return [token for token in found if token.text]


def _unescaped(raw: str, offset: int) -> tuple[str, Sequence[int], Sequence[int]]:
    if "\\" not in raw:
        return raw, range(offset, offset + len(raw)), range(offset + 1, offset + len(raw) + 1)
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in _ESCAPE.finditer(raw):
        plain = raw[at : match.start()]
        out.append(plain)
        starts.extend(range(offset + at, offset + match.start()))
        ends.extend(range(offset + at + 1, offset + match.start() + 1))
        escape = match.group()
        if len(escape) == 12:
            high, low = int(escape[2:6], 16), int(escape[8:], 16)
            char = chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        elif escape[1] == "u":
            char = chr(int(escape[2:], 16))
        else:
            char = _SHORT.get(escape[1], escape[1])
        out.append(char)
        starts.append(offset + match.start())
        ends.append(offset + match.end())
        at = match.end()
    out.append(raw[at:])
    starts.extend(range(offset + at, offset + len(raw)))
    ends.extend(range(offset + at + 1, offset + len(raw) + 1))
    return "".join(out), starts, ends
