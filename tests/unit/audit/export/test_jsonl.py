"""JSON lines: bytes that can be hashed again."""

from __future__ import annotations

import json

import exports

from sovereign.audit.export import jsonl
from sovereign.audit.tree import leaf_hash


def test_the_record_is_byte_for_byte_what_the_tree_hashed() -> None:
    """Whoever has a line can check its leaf without our code."""
    for line, entry in zip(
        jsonl.lines(exports.every(), origin='log.example/"2'), exports.every(), strict=True
    ):
        said = json.loads(line)
        data = line.split(b'"record":', 1)[1].removesuffix(b"}\n")
        assert said == {
            "log": 'log.example/"2',
            "index": 7,
            "leaf": leaf_hash(data).hex(),
            "record": entry.record,
        }
