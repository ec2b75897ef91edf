"""Entries of every record type, for tests of the formats."""

from __future__ import annotations

import json
from typing import Any

from sovereign.audit import record
from sovereign.audit.export.records import Entry
from sovereign.audit.schema import SCHEMA, Field
from sovereign.audit.tree import leaf_hash

SAMPLES: tuple[Any, ...] = (
    "allow", "hosted", "ok", "error", "folder", "2026-07", "2026-07-01T00:00:00.000Z",
    "period", "set",
    "a" * 64, "b" * 40, "c" * 32, "d" * 16, "US_SSN", "Apache-2.0", "word", True, 7,
    {"PERSON": {"mask": 2}, "SECRET": {"block": 1}}, ["e" * 32], ["gpt-*"],
    {"requests": 5},
)  # fmt: skip


def sample(field: Field) -> Any:
    """The first value that fits: identifiers get one that a spreadsheet would take for a formula,
    as far as the schema permits."""
    if field.fits("@-team/a.b:c"):
        return "@-team/a.b:c"
    return next(value for value in SAMPLES if field.fits(value))


def entry(kind: str, index: int = 7, *, optional: bool = True, **changes: Any) -> Entry:
    """A record of type ``kind`` with every field, or only with those it must have."""
    fields = {
        name: sample(field)
        for name, field in SCHEMA[kind].items()
        if optional or not field.optional
    } | changes
    data = record.encode(
        record.event(kind, **fields), time=1_782_892_800.123, source="gateway-1", seq=3
    )
    return Entry(index, data, leaf_hash(data), json.loads(data))


def every() -> list[Entry]:
    """Each type twice: with all fields, and with as few as can be."""
    return [entry(kind, optional=optional) for kind in SCHEMA for optional in (True, False)]
