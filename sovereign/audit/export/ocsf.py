"""Open Cybersecurity Schema Framework 1.8: each record as an API Activity event (class 6003).

With the profiles ``ai_operation`` (the model) and ``security_control`` (what was decided). Fields
that the schema has no place for are in ``unmapped``, under their own names.
Specification: schema.ocsf.io/1.8.0/classes/api_activity; the tests validate against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sovereign.audit.export.records import Entry, severity

__all__ = ["VERSION", "event", "lines"]

VERSION = "1.8.0"
CLASS, CATEGORY = 6003, 6
PROFILES = ("ai_operation", "security_control")

CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
_ACTIVITY = {
    "key.create": CREATE,
    "weights.import": CREATE,
    "log.read": READ,
    "log.search": READ,
    "scan.reveal": READ,
    "log.report": READ,
    "log.export": READ,
    "weights.verify": READ,
    "weights.download": READ,
    "policy.load": UPDATE,
    "key.rotate": UPDATE,
    "key.revoke": DELETE,
}
_NAMES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete"}
SUCCESS, FAILURE = 1, 2
ALLOWED, DENIED, MODIFIED = 1, 2, 4
_SEVERITY = ((9, 5), (8, 4), (5, 3), (3, 2), (0, 1))
"""Ours from 0 to 10, at least, to theirs: 1 informational to 5 critical."""


def lines(entries: Iterable[Entry], *, origin: str, version: str) -> Iterator[bytes]:
    """One JSON object per line."""
    for entry in entries:
        made = event(entry, origin=origin, version=version)
        yield json.dumps(made, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def event(entry: Entry, *, origin: str, version: str) -> dict[str, Any]:
    """The event of one record of the log ``origin``; ``version`` is the toolkit's."""
    record = entry.record
    kind = record["type"]
    activity = _ACTIVITY.get(kind, OTHER)
    made: dict[str, Any] = {
        "class_uid": CLASS,
        "class_name": "API Activity",
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "activity_id": activity,
        "activity_name": _NAMES.get(activity, kind),
        "type_uid": CLASS * 100 + activity,
        "type_name": f"API Activity: {_NAMES.get(activity, 'Other')}",
        "time": entry.milliseconds,
        "severity_id": next(theirs for ours, theirs in _SEVERITY if severity(record) >= ours),
        "metadata": {
            "version": VERSION,
            "profiles": list(PROFILES),
            "product": {
                "name": "sovereign-toolkit",
                "vendor_name": "sovereign",
                "version": version,
            },
            "uid": f"{origin}#{entry.index}",
            "sequence": entry.index,
            "log_name": origin,
            "log_source": record["source"],
            "original_time": record["time"],
        },
        "actor": _actor(record),
        # The address of a caller is never recorded: the source is the process that wrote.
        "src_endpoint": {"instance_uid": record["source"], "svc_name": "sovereign"},
        "api": _api(record),
    }
    if "request" in record:
        made["metadata"]["correlation_uid"] = record["request"]
    if "destination" in record:
        made["dst_endpoint"] = {"svc_name": record["destination"]}
    if "model" in record and "destination" in record:
        made["ai_model"] = {"name": record["model"], "ai_provider": record["destination"]}
    if "policy" in record:
        made["policy"] = {"uid": record["policy"]}
    if "duration_ms" in record:
        made["duration"] = record["duration_ms"]
    made.update(_decided(record))
    placed = _placed(record)
    if rest := {name: value for name, value in entry.fields.items() if name not in placed}:
        made["unmapped"] = rest
    return made


def _placed(record: dict[str, Any]) -> set[str]:
    """The fields that have a place of their own in the event."""
    placed = {"request", "status", "code", "policy", "destination", "duration_ms"}
    if "destination" in record:
        placed.add("model")
    if "team" in record and "key_id" in record:
        placed |= {"team", "key_id"}
    return placed


def _actor(record: dict[str, Any]) -> dict[str, Any]:
    """A team's key; who holds it is not known. Of the toolkit's own records, the source."""
    if "team" in record and "key_id" in record:
        return {"app_name": record["team"], "app_uid": record["key_id"]}
    return {"app_name": "sovereign", "app_uid": record["source"]}


def _api(record: dict[str, Any]) -> dict[str, Any]:
    uid = record.get("request", f"{record['source']}/{record['seq']}")
    api: dict[str, Any] = {
        "operation": record["type"],
        "request": {"uid": uid},
        "service": {"name": "sovereign"},
    }
    response = {}
    if "status" in record:
        response["code"] = record["status"]
    if "code" in record:
        response["error"] = record["code"]
    if response:
        api["response"] = response
    return api


def _decided(record: dict[str, Any]) -> dict[str, Any]:
    """``security_control``: what was let through, changed or denied; and how it ended."""
    kind = record["type"]
    if kind == "request.refusal":
        return {"action_id": DENIED, "action": "Denied", "status_id": FAILURE, "status": "Failure"}
    if kind == "request.intent":
        changed = record["verdict"] in ("mask", "pseudonymize")
        return {
            "action_id": MODIFIED if changed else ALLOWED,
            "action": "Modified" if changed else "Allowed",
        }
    if "outcome" in record:
        good = record["outcome"] == "ok"
        return {
            "status_id": SUCCESS if good else FAILURE,
            "status": "Success" if good else "Failure",
        }
    return {}
