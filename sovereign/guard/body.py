"""Reads a body strictly, takes it apart into leaves (strings, numbers, keys), and puts it back.

What is sent is written again from the tree that was read here, so nothing unread can leave.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from sovereign.errors import TooLarge, Unreadable
from sovereign.guard.form import Upload
from sovereign.types import JSON, Path

__all__ = [
    "KEY",
    "Leaf",
    "Limits",
    "compact",
    "encode",
    "gather",
    "leaves",
    "read",
    "rebuild",
    "strings",
]

KEY: Final = -1
"""Ends the path of a leaf that is itself a key: ``("metadata", "Maria Keller", KEY)``. No index is
negative, so no body can fake it."""

Kind = Literal["text", "number", "key", "mark"]
"""A mark is an attribute of markup inside a document: no sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request. ``deadline_s`` is for all its recognisers together."""

    max_body_bytes: int = 10_000_000
    max_depth: int = 64
    max_leaves: int = 200_000
    deadline_s: float = 10.0


class Leaf(NamedTuple):
    """One string, number or key. ``label`` is the nearest key above it, or ``""``."""

    path: Path
    text: str
    kind: Kind
    label: str = ""

    def __repr__(self) -> str:
        return f"Leaf({self.kind}, {len(self.text)} characters)"


def read(
    raw: bytes,
    limits: Limits,
    *,
    content_encoding: str | None = None,
    content_type: str | None = None,
) -> JSON:
    """One JSON value (RFC 8259) in UTF-8. Raises :class:`Unreadable` or :class:`TooLarge`.

    Refused as well: a byte-order mark, duplicate keys, NaN and infinities, lone surrogates, any
    content-encoding, any content type but JSON, a charset other than UTF-8.
    """
    if len(raw) > limits.max_body_bytes:
        raise TooLarge(f"the body is over {limits.max_body_bytes} bytes")
    if (content_encoding or "identity").strip().lower() != "identity":
        raise Unreadable("the body is compressed", hint="send it without content-encoding")
    if content_type is not None:
        kind, _, parameters = content_type.partition(";")
        charset = parameters.strip().lower().replace(" ", "").replace('"', "")
        if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
            raise Unreadable("the content type is not application/json in UTF-8")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise Unreadable("the body starts with a byte-order mark")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Unreadable(f"the body is not UTF-8 at byte {e.start}") from None
    _check_depth(text, limits.max_depth)
    try:
        value = strict_json(text)
    except RecursionError:
        raise TooLarge(f"the body is deeper than {limits.max_depth} levels") from None
    except json.JSONDecodeError as e:
        raise Unreadable(f"the body is not one JSON value at character {e.pos}") from None
    except ValueError as e:
        raise Unreadable(f"the body is not strict JSON: {e}") from None
    if (
        "\\" in text and "\\ud" in text.lower()
    ):  # only an escape can make a lone surrogate out of valid UTF-8
        leaves(value, limits)
    return value


def strict_json(text: str) -> JSON:
    """``text`` as one JSON value without duplicate keys, NaN or infinities. Raises
    :class:`ValueError`, whose message never quotes the text."""
    return _STRICT.decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(_: str) -> Any:
    raise ValueError("NaN and infinities are not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > 1000:
        raise ValueError("a number has more than 1000 digits")
    return int(text)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
)


_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def _check_depth(text: str, limit: int) -> None:
    """Counts brackets outside strings, so that the parser never meets a deeper value."""
    # To split stops early and skips what is between: it takes a third of the time of counting.
    if len(text.split("[", limit + 1)) + len(text.split("{", limit + 1)) - 2 <= limit:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
            if depth > limit:
                raise TooLarge(f"the body is deeper than {limit} levels")
        elif mark in "]}":
            depth -= 1


def encodable(text: str) -> bool:
    """Whether ``text`` can be UTF-8 at all: it holds no lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def leaves(body: JSON, limits: Limits) -> list[Leaf]:
    """Every string, number and key of ``body`` in document order. Raises :class:`Unreadable` for
    a value that is not JSON, :class:`TooLarge` over the bounds."""
    return gather(body, limits)[0]


def gather(
    body: JSON, limits: Limits, known: frozenset[str] = frozenset()
) -> tuple[list[Leaf], str]:
    """As :func:`leaves`, but for keys that are ``known``; and the texts of all as the lines of one,
    these too."""
    walk = _Walk(limits.max_leaves, known)
    walk.gather(body, (), "", limits.max_depth)
    text = "\n".join(walk.texts)
    if not text.isascii() and not encodable(text):
        raise Unreadable("the body holds half of a surrogate pair")
    return walk.found, text


_UNNAMED = frozenset({"default", "const", "enum", "examples", "example", "value", "values"})
"""Keys that only say that a value follows: what it is a value of, the key above them says."""


_OBJECT: Final = (dict, Mapping)  # to ask for the second takes long
_leaf: Final = tuple.__new__
"""Makes a :class:`Leaf` in half the time of its own constructor: bodies have very many."""


class _Walk:
    __slots__ = ("found", "known", "most", "texts")

    def __init__(self, most: int, known: frozenset[str]) -> None:
        self.most, self.known = most, known
        self.found: list[Leaf] = []
        self.texts: list[str] = []

    def gather(self, value: JSON, path: Path, label: str, depth: int) -> None:
        if depth < 0:
            raise TooLarge("the body is nested too deep")
        found, texts = self.found, self.texts
        if isinstance(value, str):
            texts.append(value)
            found.append(_leaf(Leaf, (path, value, "text", label)))
        elif isinstance(value, _OBJECT):
            known = self.known
            for key, item in value.items():
                if not isinstance(key, str):
                    raise Unreadable("the body has a key that is not a string")
                below = (*path, key)
                texts.append(key)
                if key not in known:
                    found.append(_leaf(Leaf, ((*below, KEY), key, "key", label)))
                named = label if key in _UNNAMED else key
                if depth and isinstance(item, str):  # as most: it need not be asked what it is
                    texts.append(item)
                    found.append(_leaf(Leaf, (below, item, "text", named)))
                else:
                    self.gather(item, below, named, depth - 1)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                self.gather(item, (*path, index), label, depth - 1)
        elif value is None or isinstance(value, bool):
            return
        elif isinstance(value, int | float):
            if isinstance(value, float) and not math.isfinite(value):
                raise Unreadable("the body holds NaN or an infinity")
            texts.append(json.dumps(value))
            found.append(Leaf(path, texts[-1], "number", label))
        elif isinstance(value, Upload):
            texts += (value.filename, value.content_type)
            found.append(Leaf((*path, "filename"), value.filename, "text", "filename"))
            found.append(Leaf((*path, "content_type"), value.content_type, "text"))
        else:
            raise Unreadable(f"the body holds a {type(value).__name__}, which is not JSON")
        if len(texts) > self.most:
            raise TooLarge(f"the body has more than {self.most} leaves")


def strings(body: JSON) -> tuple[set[str], set[str]]:
    """The keys of ``body``, and its strings and numbers: what :func:`leaves` says, without where.
    ``body`` is JSON as :func:`json.loads` gives it."""
    keys: set[str] = set()
    texts: list[str] = []
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            keys.update(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif value is not None and not isinstance(value, bool):
            texts.append(json.dumps(value))
    return keys, set(texts)


def rebuild(body: JSON, replaced: Mapping[Path, JSON]) -> JSON:
    """``body`` with what is at these paths replaced; a number becomes a string. What does not
    change is shared with ``body``, which is not changed.

    Two keys of one object that become the same are told apart by a number.
    """
    root: dict[Any, Any] = {}
    for path, new in replaced.items():
        node = root
        for step in path:
            below = node.get(step)
            if below is None:
                below = node[step] = {}
            node = below
        node[_NEW] = new
    return _rebuilt(body, root)


_NEW: Final = object()
"""Under which a path's node has the leaf that goes there; under its steps are those below it."""


def _rebuilt(value: JSON, node: Mapping[Any, Any]) -> JSON:
    if _NEW in node:
        return node[_NEW]
    if isinstance(value, _OBJECT):
        changed = dict(value)
        for key, below in node.items():
            if KEY in below:
                return _renamed(value, node)
            if key in value:
                changed[key] = _rebuilt(value[key], below)
        return changed
    if isinstance(value, list | tuple):
        items = list(value)
        for index, below in node.items():
            if index != KEY:  # which is what the list itself stands under
                items[index] = _rebuilt(value[index], below)
        return items
    if isinstance(value, Upload):
        return replace(
            value,
            filename=node.get("filename", {}).get(_NEW, value.filename),
            content_type=node.get("content_type", {}).get(_NEW, value.content_type),
        )
    return value


def _renamed(value: Mapping[str, JSON], node: Mapping[Any, Any]) -> dict[str, JSON]:
    """An object with keys that change, in its own order."""
    built: dict[str, JSON] = {}
    for key, item in value.items():
        below = node.get(key, {})
        name = below.get(KEY, {}).get(_NEW, key)
        unique, count = name, 1
        while unique in built or (unique != key and unique in value):
            count += 1
            unique = f"{name} {count}"
        built[unique] = _rebuilt(item, below)
    return built


compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""JSON without a space; :class:`ValueError` for NaN and infinities. Made once: ``json.dumps`` makes
its encoder anew each time."""
_escaped = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""The same with escapes for all that is not ASCII: where nothing is, in half the time."""


def encode(body: JSON, *, ascii_only: bool = False) -> bytes:
    """``body`` as compact UTF-8 JSON. Raises :class:`Unreadable` if it cannot be written.
    ``ascii_only``: it says so quicker if all of it is ASCII, and else in escapes."""
    try:
        return (_escaped if ascii_only else compact)(body).encode("utf-8")
    except (UnicodeEncodeError, ValueError, TypeError, RecursionError):
        raise Unreadable("the body cannot be written as UTF-8 JSON") from None
