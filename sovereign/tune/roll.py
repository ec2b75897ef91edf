"""The roll of a run: which rows, ids and groups it trained on, under one root, and proofs of it.

Each is a key, HMAC-SHA-256 under the run's salt; the keys, sorted and each once, are the leaves of
an RFC 6962 tree whose root is in the passport. That a key is in it shows by its path; that it is
not, by the paths of the two neighbours between which it would stand. Without the salt the root says
nothing of the rows. Whoever checks a proof needs the salt, and could then guess at its neighbours:
it is for an auditor, not for publication.

A root could be signed over leaves that are not sorted, and then an absence proves nothing; that
they are is checked by :func:`Roll.load`, which has all of them.
"""

from __future__ import annotations

import hmac
import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import rfc8785

from sovereign.audit.tree import Frontier, inclusion_proof, leaf_hash, verify_inclusion
from sovereign.errors import LogTampered, TuneError
from sovereign.tune.rows import Row
from sovereign.weights.lock import write_atomically

__all__ = ["FILE", "Kind", "Proof", "Roll", "content_of", "verify"]

FILE = "roll.json"
"""In the run's folder, for its owner; never in the adapter's."""

SALT_SIZE = 32
Kind = Literal["row", "id", "group"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A leaf of the tree: its number, its key (32 bytes) and its path to the root."""

    index: int
    key: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """One neighbour that is the key itself; or those next to where it would be: two of them, or
    one at either end."""

    neighbours: tuple[Neighbour, ...]

    def encode(self) -> dict[str, Any]:
        """For :meth:`decode`, as JSON."""
        rows = [
            {"index": n.index, "key": n.key.hex(), "path": [p.hex() for p in n.path]}
            for n in self.neighbours
        ]
        return {"neighbours": rows}

    @classmethod
    def decode(cls, data: Any) -> Proof:
        """Raises :class:`TuneError`."""
        try:
            found = [
                Neighbour(
                    int(n["index"]), bytes.fromhex(n["key"]), tuple(map(bytes.fromhex, n["path"]))
                )
                for n in data["neighbours"]
            ]
            return cls(tuple(found))
        except (KeyError, TypeError, ValueError):
            raise TuneError("it is no proof that `sovereign tune prove` wrote") from None


@dataclass(frozen=True, slots=True, repr=False)
class Roll:
    """The sorted keys (32 bytes each) of one run, and their salt."""

    salt: bytes
    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, rows: Iterable[Row], salt: bytes) -> Roll:
        """``rows`` as they stand in the file, so that their owner can ask for them."""
        keys = set()
        for row in rows:
            keys.add(_key(salt, "row", content_of(row)))
            if row.id is not None:
                keys.add(_key(salt, "id", row.id.encode()))
            if row.group is not None:
                keys.add(_key(salt, "group", row.group.encode()))
        return cls(salt, tuple(sorted(keys)))

    @classmethod
    def load(cls, file: Path, root: str) -> Roll:
        """The roll in ``file``, if it is the one that ``root`` (hex) commits to. Raises
        :class:`TuneError`."""
        try:
            data = json.loads(file.read_bytes())
            roll = cls(bytes.fromhex(data["salt"]), tuple(map(bytes.fromhex, data["keys"])))
        except OSError as e:
            raise TuneError(f"{file}: {e.strerror}") from None
        except (KeyError, TypeError, ValueError):
            raise TuneError(f"{file}: is not a roll that `sovereign tune run` wrote") from None
        if list(roll.keys) != sorted(set(roll.keys)) or roll.root != root:
            raise TuneError(f"{file}: is not the roll that the passport commits to")
        return roll

    def save(self, file: Path) -> None:
        """Whole or not at all, for its owner only."""
        data = {"salt": self.salt.hex(), "keys": [k.hex() for k in self.keys]}
        write_atomically(file, rfc8785.dumps(data), mode=0o600)

    @property
    def root(self) -> str:
        """In hex."""
        return Frontier().extend(map(leaf_hash, self.keys)).root().hex()

    def holds(self, kind: Kind, value: bytes) -> bool:
        key = _key(self.salt, kind, value)
        at = bisect_left(self.keys, key)
        return self.keys[at : at + 1] == (key,)

    def prove(self, kind: Kind, value: bytes) -> Proof:
        """That ``value`` is in the roll, or that it is not."""
        key = _key(self.salt, kind, value)
        at = bisect_left(self.keys, key)
        wanted = [at] if self.keys[at : at + 1] == (key,) else [at - 1, at]
        leaves = [leaf_hash(k) for k in self.keys]
        return Proof(
            tuple(
                Neighbour(i, self.keys[i], tuple(inclusion_proof(leaves, i)))
                for i in wanted
                if 0 <= i < len(leaves)
            ),
        )

    def __repr__(self) -> str:
        return f"Roll({len(self.keys)} keys)"


def verify(proof: Proof, kind: Kind, value: bytes, *, salt: bytes, root: str, size: int) -> bool:
    """Whether ``value`` is in the tree of ``root`` and ``size``, as ``proof`` shows. Raises
    :class:`TuneError` if it shows neither.

    Both are the passport's: which leaf is the last, no path says.
    """
    key = _key(salt, kind, value)
    for near in proof.neighbours:
        try:
            verify_inclusion(leaf_hash(near.key), near.index, size, near.path, bytes.fromhex(root))
        except (LogTampered, ValueError):
            raise TuneError("the proof does not lead to the passport's root") from None
    found: Sequence[Neighbour] = proof.neighbours
    if len(found) == 1 and found[0].key == key:
        return True
    below = [n for n in found if n.key < key]
    above = [n for n in found if n.key > key]
    last, first = size - 1, 0
    if len(found) == 2 and len(below) == len(above) == 1:
        if below[0].index + 1 == above[0].index:
            return False
    elif len(found) == 1 and (
        (below and below[0].index == last) or (above and above[0].index == first)
    ):
        return False
    raise TuneError("the proof is about something else")


def content_of(row: Row) -> bytes:
    """What a row says, whatever its file's format and the order of its keys."""
    messages = list(row.messages)
    if not row.tools:
        return bytes(rfc8785.dumps(messages))
    # As text: a schema may hold numbers that canonical JSON has no form for.
    tools = json.dumps([tool.wire() for tool in row.tools], sort_keys=True)
    return bytes(rfc8785.dumps([messages, tools]))


def _key(salt: bytes, kind: Kind, value: bytes) -> bytes:
    return hmac.digest(salt, kind.encode() + b"\0" + value, "sha256")
