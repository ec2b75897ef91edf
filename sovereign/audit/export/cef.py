"""ArcSight Common Event Format, version 0: one line of text per record.

Specification: "ArcSight Common Event Format (CEF) Implementation Standard", version 25: header
fields escape backslash and pipe; values of the extension escape backslash and equals, and write a
line break as ``\\n``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sovereign.audit.export.records import Entry, severity

__all__ = ["lines"]

_NAMES = {
    "request.intent": "Request decided",
    "request.result": "Request answered",
    "request.refusal": "Request refused",
}
_KEYS = {
    "verdict": "act",
    "outcome": "outcome",
    "code": "reason",
    "request": "externalId",
    "bytes_in": "in",
    "bytes_out": "out",
}
"""Fields that CEF has a key for."""
_CUSTOM = {"team": "cs1", "model": "cs2", "destination": "cs3", "side": "cs4", "policy": "cs5"}


def lines(entries: Iterable[Entry], *, origin: str, version: str) -> Iterator[bytes]:
    """``CEF:0|vendor|product|version|type|name|severity|key=value …``."""
    for entry in entries:
        record = entry.record
        kind = record["type"]
        head = ["sovereign", "sovereign-toolkit", version, kind, _NAMES.get(kind, kind)]
        pairs = list(_extension(entry, origin))
        text = " ".join(f"{key}={_value(value)}" for key, value in pairs)
        yield f"CEF:0|{'|'.join(map(_head, head))}|{severity(record)}|{text}\n".encode()


def _extension(entry: Entry, origin: str) -> Iterator[tuple[str, Any]]:
    record = entry.record
    yield "rt", entry.milliseconds
    yield "deviceExternalId", record["source"]
    yield "cs6Label", "log"
    yield "cs6", origin
    yield "cn1Label", "record"
    yield "cn1", entry.index
    yield "cn2Label", "number of the source"
    yield "cn2", record["seq"]
    for name, value in entry.fields.items():
        if name in _KEYS:
            yield _KEYS[name], value
        elif name in _CUSTOM:
            yield f"{_CUSTOM[name]}Label", name
            yield _CUSTOM[name], value
        else:  # "VendornameProductnameExplanatoryKeyName", letters and digits
            yield f"sovereignToolkit{''.join(map(str.capitalize, name.split('_')))}", value


def _head(text: str) -> str:
    return _flat(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: Any) -> str:
    text = value if type(value) is str else json.dumps(value, separators=(",", ":"))
    text = text.replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")


def _flat(text: str) -> str:
    return " ".join(text.split())
