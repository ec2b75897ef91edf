"""A tree of keys from which single leaves can be destroyed, and everything else still made.

This is the puncturable pseudorandom function of Goldreich, Goldwasser and Micali (1986; puncturing:
Boneh and Waters 2013), with HMAC-SHA-256 and sixteen children per node. A key for every possible
value takes 32 bytes. To destroy one, the nodes on the way to it are forgotten and their other
children are kept, so what is kept grows by less than 6 kB for each, and no list of values exists.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["DEPTH", "Punctured"]

DEPTH = 12
"""Levels of sixteen: two values share a leaf, and its end, with a chance of 1 in 2**48."""

SIZE = 32
HEAD = b"sovereign token keys 2\n"
_ID = 8


@dataclass(frozen=True, slots=True, repr=False)
class Punctured:
    """``nodes``: path (as hex digits) to key, none of them above another. ``id`` is what it had as
    a whole, and ``router`` the key that says on which leaf a value is."""

    id: str
    router: bytes
    nodes: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Punctured({self.id})"

    @classmethod
    def of(cls, master: bytes) -> Punctured:
        """The whole tree."""
        made = (hmac.digest(master, b"sovereign/token/v2/" + of, "sha256") for of in _PURPOSES)
        name, router, root = made
        return cls(name[:_ID].hex(), router, {"": root})

    def leaf(self, text: str) -> bytes | None:
        """The key of ``text``; None if it was destroyed."""
        path = self._path(text)
        for length in range(DEPTH + 1):
            if (node := self.nodes.get(path[:length])) is not None:
                return _down(node, path[length:])
        return None

    def without(self, text: str) -> Punctured:
        """The same tree without the leaf of ``text``."""
        path = self._path(text)
        nodes = dict(self.nodes)
        for length in range(DEPTH + 1):
            if (node := nodes.pop(path[:length], None)) is not None:
                for at in range(length, DEPTH):
                    for digit in "0123456789abcdef":
                        if digit != path[at]:
                            nodes[path[:at] + digit] = _child(node, digit)
                    node = _child(node, path[at])
                break
        return Punctured(self.id, self.router, nodes)

    def pack(self) -> bytes:
        """A head, the id, the router, and each node: length of its path, the path, its key."""
        parts = [HEAD, bytes.fromhex(self.id), self.router]
        for path, key in sorted(self.nodes.items()):
            parts += [bytes([len(path)]), path.encode(), key]
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> Punctured:
        """ValueError unless ``data`` is exactly what :meth:`pack` wrote."""
        at = len(HEAD) + _ID + SIZE
        if not data.startswith(HEAD) or len(data) < at:
            raise ValueError("not a tree of keys")
        nodes = {}
        while at < len(data):
            length = data[at]
            path = data[at + 1 : at + 1 + length].decode("ascii")
            nodes[path] = data[at + 1 + length : at + 1 + length + SIZE]
            at += 1 + length + SIZE
        head = data[len(HEAD) : len(HEAD) + _ID]
        made = cls(head.hex(), data[len(HEAD) + _ID : len(HEAD) + _ID + SIZE], nodes)
        if made.pack() != data or any(len(key) != SIZE for key in nodes.values()):
            raise ValueError("not a tree of keys")
        return made

    def _path(self, text: str) -> str:
        return hmac.digest(self.router, text.encode(), "sha256").hex()[:DEPTH]


_PURPOSES = (b"id", b"router", b"root")


@lru_cache(maxsize=8192)
def _upper(node: bytes, digits: str) -> bytes:
    """The top of the tree is on the way to every value."""
    for digit in digits:
        node = _child(node, digit)
    return node


def _down(node: bytes, digits: str) -> bytes:
    top = max(0, len(digits) - DEPTH + 3)
    node = _upper(node, digits[:top])
    for digit in digits[top:]:
        node = _child(node, digit)
    return node


def _child(node: bytes, digit: str) -> bytes:
    return hmac.digest(node, digit.encode(), "sha256")
