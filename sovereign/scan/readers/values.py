"""A JSON value as the texts in it, each with its path, its direction and its exact place.

Names and texts are both read: a name that nobody wrote in a program may be somebody's.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sovereign.scan.readers.calls import BOTH, HINT, Heard, judge
from sovereign.scan.readers.when import NAMES, moment
from sovereign.scan.record import Call, Direction, Field
from sovereign.scan.source import LONGEST, OVERLAP

__all__ = ["DECODER", "LONG_NUMBER", "Number", "Read", "column", "named", "pieces", "row", "walk"]

DEPTH = 200
"""Objects and arrays inside each other; strings that hold JSON count as well."""


class Number(str):
    """A number as it was written: no digit is lost, and none is too many."""

    __slots__ = ()


DECODER = json.JSONDecoder(
    object_pairs_hook=tuple,  # a name that stands twice is read twice
    parse_int=Number,
    parse_float=Number,
    parse_constant=lambda _: None,
    strict=False,
)
"""Objects come as tuples of pairs, arrays as lists."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*', re.DOTALL)
"""Strings and numbers, in the order in which the decoder sees them."""

_LINES = frozenset({str})
LONG_NUMBER = re.compile(r"-?\d{5}")
"""Shorter ones are handed out with nothing: they name nobody."""

Tokens = Iterator["re.Match[bytes]"]


@dataclass(frozen=True, slots=True)
class Read:
    """What one value told."""

    fields: tuple[Field, ...]
    call: Call | None
    time: float | None


def walk(
    value: Any, raw: bytes = b"", base: int = 0, encoding: str = "utf-8", path: str = ""
) -> Read:
    """The texts of ``value``, as :data:`DECODER` made it of ``raw``, which stands at byte ``base``;
    without ``raw`` they have no place. Raises RecursionError for what is nested too deep."""
    walker = _Walker(raw, base, encoding, not raw or HINT.search(raw) is not None)
    walker.visit(value, path, Direction.STORED, _TOKEN.finditer(raw) if raw else None, 0)
    return walker.read()


def row(names: Sequence[str], cells: Sequence[Any], path: str = "") -> Read:
    """The texts of one row of a table. ``cells`` are strings, :class:`Number`, None, or what
    :data:`DECODER` makes; a string that is JSON is read as what it says."""
    walker = _Walker(b"", 0, "utf-8", True, column)
    walker.visit(tuple(zip(names, cells, strict=True)), path, Direction.STORED, None, 0)
    return walker.read()


@functools.lru_cache(4096)
def named(name: str) -> str:
    """A name as it may stand in a path: one that a programmer wrote, or ``*``."""
    return name if _WRITTEN.fullmatch(name) and not _DIGITS.search(name) else "*"


@functools.lru_cache(4096)
def column(name: str) -> str:
    """The same for the name of a column, which may be some words."""
    return name if _WORDS.fullmatch(name) and not _DIGITS.search(name) else "*"


_WORDS = re.compile(r"[^\W\d][\w .:/#%$()-]{0,63}")
_WRITTEN = re.compile(r"[A-Za-z_$@:][\w$.:/#%-]{0,63}", re.ASCII)
_DIGITS = re.compile(r"\d{5}|\d-\d")


def pieces(
    path: str, text: str, direction: Direction, offset: int | None, encoding: str
) -> Iterator[Field]:
    """A text as the fields that it needs."""
    start = 0
    while True:
        stop = start + LONGEST
        yield Field(path, text[start:stop], direction, offset, start, encoding)
        if stop >= len(text):
            return
        if offset is not None:
            offset += len(text[start : stop - OVERLAP].encode(encoding))
        start = stop - OVERLAP


class _Walker:
    __slots__ = ("base", "encoding", "fields", "heard", "judging", "named", "raw", "time")

    def __init__(
        self,
        raw: bytes,
        base: int,
        encoding: str,
        judging: bool,
        name: Callable[[str], str] = named,
    ) -> None:
        self.raw, self.base, self.encoding, self.judging = raw, base, encoding, judging
        self.named = name
        self.fields: list[Field] = []
        self.heard = Heard()
        self.time: float | None = None

    def read(self) -> Read:
        fields = tuple(self.fields)
        if self.heard.inside:  # it went to a host of the house: nothing left
            fields = tuple(f._replace(direction=Direction.STORED) for f in fields)
        return Read(fields, self.heard.call(), self.time)

    def visit(
        self, value: Any, path: str, way: Direction, tokens: Tokens | None, depth: int
    ) -> None:
        if depth > DEPTH:
            raise RecursionError
        kind = type(value)
        if kind is tuple:
            self._object(value, path, way, tokens, depth)
        elif kind is list:
            if value and _LINES.issuperset(map(type, value)) and value[0][-1:] == "\n":
                # A text that is kept as the list of its lines, as notebooks keep theirs.
                for _ in zip(value, tokens or (), strict=False):
                    pass
                self._text("".join(value), path, way, None, 0)
                return
            for number, item in enumerate(value):
                self.visit(item, f"{path}[{number}]", way, tokens, depth + 1)
        elif kind is str:
            token = next(tokens) if tokens else None
            if value[:1] in ("{", "[") and self._nested(value, path, way, depth):
                return
            if len(value) > 1:
                self._text(value, path, way, token, 1)
        elif kind is Number:
            token = next(tokens) if tokens else None
            if LONG_NUMBER.match(value):
                self._text(str(value), path, way, token, 0)

    def _object(
        self, pairs: Any, path: str, way: Direction, tokens: Tokens | None, depth: int
    ) -> None:
        names: Any = {}
        rest = way
        # Whatever a request holds was sent, also what looks like an earlier response.
        if self.judging and way is Direction.STORED:
            shape = judge(dict(pairs))
            if shape:
                self.heard.add(shape)
                names, rest = shape.names, shape.rest or way
                if self.named is column and not depth:
                    # A row says more than what was sent: its columns do, by their names.
                    names, rest = {**BOTH, **names}, way
        for name, value in pairs:
            token = next(tokens) if tokens else None
            shown = self.named(name)
            if shown == "*":
                self._text(name, f"{path}.*" if path else "*", rest, token, 1)
            elif self.time is None and name in NAMES:
                self.time = moment(value)
            below = f"{path}.{shown}" if path else shown
            self.visit(value, below, names.get(name, rest), tokens, depth + 1)

    def _nested(self, text: str, path: str, way: Direction, depth: int) -> bool:
        """A string that is JSON is read as what it says."""
        if text[-1:] not in "}]\n ":
            return False
        try:
            value = DECODER.decode(text)
        except (ValueError, RecursionError):
            return False
        if way is Direction.SENT and not self.heard.body:
            self.heard.body = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        self.visit(value, path, way, None, depth + 1)
        return True

    def _text(
        self, text: str, path: str, way: Direction, token: re.Match[bytes] | None, quote: int
    ) -> None:
        offset = None
        if token is not None:
            start, end = token.start() + quote, token.end() - quote
            # Without an escape in it, it stands there as it is.
            if self.raw.find(b"\\", start, end) < 0:
                offset = self.base + start
        if not text.isascii():
            text = _whole(text)
        if len(text) <= LONGEST:
            self.fields.append(tuple.__new__(Field, (path, text, way, offset, 0, self.encoding)))
        else:
            self.fields += pieces(path, text, way, offset, self.encoding)


def _whole(text: str) -> str:
    """Without half a surrogate pair, which an escape can say and nothing can encode."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
