"""Lines of JSON that look alike, read without parsing each: an application's log has a few dozen
shapes, and a line differs from others of its shape only in its strings and numbers.

A line is cut at its values; what remains is its shape. The first of a shape is parsed, which tells
the path of each value; the next ones are read by that plan. Without an escape in it, a line of a
known shape is JSON by the same grammar. What has an escape, names a model API, or holds JSON in a
string is left to the parser: the result is always the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sovereign.scan.readers.calls import HINT
from sovereign.scan.readers.values import DECODER, LONG_NUMBER, Number, named
from sovereign.scan.readers.when import NAMES, moment
from sovereign.scan.record import Direction, Field, Record

__all__ = ["Plans"]

LONGEST = 8_192
"""Bytes of a line; of longer ones the parser is faster than the cutting."""
MOST = 2_000
"""Shapes that are remembered."""

_VALUE = re.compile(
    r'("(?:(?<=[:\[,]")|(?<=[:\[,] "))[^"\\]*"(?=\s*[,}\]])'
    r"|[-0-9](?:(?<=[:\[,].)|(?<=[:\[,] .))(?:(?<=-)(?:0|[1-9]\d*)|(?<=0)|(?<=[1-9])\d*)"
    r"(?:\.\d+)?(?:[eE][+-]?\d+)?(?=\s*[,}\]]))",
    re.ASCII,
)
"""A string or number after a colon, comma or bracket, and before a comma or bracket. What stands
before is looked at last: so few places of a line are tried."""
_NAMING = ("gen_ai", "llm.", "openai", "anthropic", "content_block", '"event: ')
"""What :data:`~sovereign.scan.readers.calls.HINT` looks for in values too."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The path of each value, and which of them may say when."""

    paths: tuple[str, ...]
    times: tuple[int, ...]


class Plans:
    """The shapes of one file's lines."""

    def __init__(self) -> None:
        self._plans: dict[tuple[str, ...], _Plan | None] = {}

    def record(self, raw: bytes, offset: int, number: int) -> Record | None:
        """What a line says; None if the parser has to say it."""
        if len(raw) > LONGEST or raw[:1] != b"{" or b"\\" in raw:
            return None
        text = raw.decode("latin-1")  # a character for each byte
        parts = _VALUE.split(text)
        shape = tuple(parts[::2])
        if shape not in self._plans:
            if len(self._plans) >= MOST:
                return None
            self._plans[shape] = _learnt(raw, shape, parts[1::2])
        plan = self._plans[shape]
        if plan is None or any(name in text for name in _NAMING):
            return None
        fields: list[Field] = []
        place = offset
        try:
            for path, before, value in zip(plan.paths, shape, parts[1::2], strict=False):
                place += len(before)
                if value[0] == '"':
                    said = value[1:-1]
                    if not said.isascii():
                        said = said.encode("latin-1").decode()
                    if said[:1] in _NESTED:
                        return None
                    if len(said) > 1:
                        fields.append(_field((path, said, _STORED, place + 1, 0, "utf-8")))
                elif LONG_NUMBER.match(value):
                    fields.append(_field((path, value, _STORED, place, 0, "utf-8")))
                place += len(value)
        except UnicodeDecodeError:
            return None
        time = None
        for index in plan.times:
            time = moment(parts[2 * index + 1].strip('"'))
            if time is not None:
                break
        return Record(number, "line", tuple(fields), offset + len(raw), "", None, time)


_STORED = Direction.STORED
_NESTED = frozenset("{[")


def _field(parts: tuple[Any, ...]) -> Field:
    return tuple.__new__(Field, parts)


def _learnt(raw: bytes, shape: tuple[str, ...], values: list[str]) -> _Plan | None:
    """The plan of a shape by its first line; None if there can be none."""
    if HINT.search("".join(shape).encode("latin-1")):
        return None
    found: list[tuple[str, str, str]] = []
    try:
        _collect(DECODER.decode(raw.decode()), "", "", found)
    except (ValueError, RecursionError):
        return None
    said = [value.strip('"').encode("latin-1").decode("utf-8", "replace") for value in values]
    if [text for _, _, text in found] != said:
        return None
    times = tuple(n for n, (_, name, _) in enumerate(found) if name in NAMES)
    return _Plan(tuple(path for path, _, _ in found), times)


def _collect(value: Any, path: str, name: str, found: list[tuple[str, str, str]]) -> None:
    """Path, name and text of every string and number, in the order in which they stand."""
    if isinstance(value, tuple):
        for key, inner in value:
            shown = named(key)
            if shown == "*":  # a name that is a text of its own
                raise ValueError
            _collect(inner, f"{path}.{shown}" if path else shown, key, found)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _collect(inner, f"{path}[{number}]", "", found)
    elif isinstance(value, (str, Number)):
        found.append((path, name, str(value)))
