"""Records of a period, each checked against the schema, all of them against the signed root.

That a record is one of ours is known before it is handed on; that it is the one that was signed,
only when the last has been read. So whoever writes keeps the file aside until the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sovereign.audit.note import Checkpoint
from sovereign.audit.schema import validate
from sovereign.audit.stored import Stored
from sovereign.audit.tree import Frontier
from sovereign.errors import LogTampered, RecordRejected

__all__ = ["ENVELOPE", "Entry", "read", "severity"]

ENVELOPE = ("v", "type", "time", "source", "seq")
CHUNK = 1_024


@dataclass(frozen=True, slots=True)
class Entry:
    """A record at ``index``, as bytes and as what they say; ``leaf`` is its hash in the tree."""

    index: int
    data: bytes
    leaf: bytes
    record: dict[str, Any]

    @property
    def milliseconds(self) -> int:
        """Its time, since the Unix epoch."""
        moment = datetime.fromisoformat(self.record["time"])
        return int(moment.timestamp()) * 1_000 + moment.microsecond // 1_000

    @property
    def fields(self) -> dict[str, Any]:
        """The record without its envelope."""
        return {name: value for name, value in self.record.items() if name not in ENVELOPE}


def read(stored: Stored, since: str = "", until: str = "~") -> Iterator[Entry]:
    """Records under the newest checkpoint whose time is in [since, until), in order.

    All records are read, whatever the period. Raises :class:`LogTampered` at the first that is not
    ours, and at the end if they are not what was signed.
    """
    _, checkpoint = stored.checkpoint()
    tree, leaves = Frontier(), list[bytes]()
    for index, data, leaf in stored.entries(0, checkpoint.size):
        leaves.append(leaf)
        if len(leaves) == CHUNK:
            tree = tree.extend(leaves)
            leaves.clear()
        record = _parse(index, data)
        if since <= record["time"] < until:
            yield Entry(index, data, leaf, record)
    _hold(tree.extend(leaves), checkpoint)


def _parse(index: int, data: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(data)
        validate({n: v for n, v in record.items() if n not in ENVELOPE or n == "type"})
        datetime.fromisoformat(record["time"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RecordRejected):
        raise LogTampered(
            f"record {index} is not a record of this log",
            index=index,
            hint="`sovereign audit verify` says what is wrong; or it is of a newer version",
        ) from None
    return record


def _hold(tree: Frontier, checkpoint: Checkpoint) -> None:
    if tree.root() != checkpoint.root:
        raise LogTampered(
            "the records are not what was signed", hint="`sovereign audit verify` says which"
        )


def severity(record: dict[str, Any]) -> int:
    """0 to 10, for tools that sort by it: 1 is everyday, 9 says that records are missing."""
    kind = record["type"]
    if kind == "log.gap":
        return 9
    if kind == "request.refusal":
        return {
            "residual_found": 8,
            "audit_unavailable": 8,
            "recognizer_failed": 7,
            "refused_by_policy": 5,
            "invalid_api_key": 5,
            "not_permitted": 5,
        }.get(record["code"], 3)
    if kind == "weights.refuse" or (kind == "tune.run" and record["outcome"] == "error"):
        return 6
    if kind == "log.restart":
        return 4
    if kind == "request.result" and record["outcome"] != "ok":
        return 3
    return 1
