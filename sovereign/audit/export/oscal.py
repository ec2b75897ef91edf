"""A report's document as OSCAL assessment results (NIST, version 1.1.3), in JSON.

It has observations and no findings: a finding says whether a control's objective is satisfied, and
that is for an assessor to say. Specification: pages.nist.gov/OSCAL-Reference, assessment-results.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from sovereign.audit.report import framework as catalogues
from sovereign.errors import ConfigError

__all__ = ["VERSION", "build"]

VERSION = "1.1.3"
_ENHANCEMENT = re.compile(r"([a-z]{2}-[0-9]+)\(([0-9]+)\)")


def build(document: Mapping[str, Any]) -> bytes:
    """The results of one assessment: this report. Raises :class:`ConfigError` for a framework whose
    sections are no identifiers of an OSCAL catalogue."""
    name = document["framework"]["id"]
    if catalogues.load(name).oscal != "control-ids":
        known = [n for n in catalogues.names() if catalogues.load(n).oscal == "control-ids"]
        raise ConfigError(f"{name} is not written in OSCAL", hint=f"these are: {', '.join(known)}")
    start, made = document["period"]["since"], document["made"]
    plan = _uuid(document, "plan")
    controls = document["controls"]
    result = {
        "uuid": _uuid(document, "result"),
        "title": f"Evidence from the audit log {document['log']['origin']}",
        "description": "What the log shows for each control in the period. No control is said to be"
        " satisfied: that is for an assessor.",
        "start": start,
        "end": document["period"]["until"],
        "props": [
            _prop("log-verified", "true" if document["verification"]["ok"] else "false"),
            _prop("log-key", document["log"]["key"]),
            _prop("log-size", str(document["verification"]["size"])),
        ],
        "reviewed-controls": {
            "control-selections": [
                {"include-controls": [{"control-id": _control_id(c["id"])} for c in controls]}
            ]
        },
        "observations": [_observation(document, c) for c in controls],
        "remarks": "\n".join(document["gaps"]),
    }
    return (
        json.dumps(
            {
                "assessment-results": {
                    "uuid": _uuid(document, "results"),
                    "metadata": {
                        "title": f"{document['framework']['name']}: evidence from the audit log",
                        "last-modified": made,
                        "version": document["toolkit"],
                        "oscal-version": VERSION,
                    },
                    # OSCAL wants a plan. There is none but the command, so the resource says that.
                    "import-ap": {"href": f"#{plan}"},
                    "results": [result],
                    "back-matter": {
                        "resources": [
                            {
                                "uuid": plan,
                                "title": "No assessment plan",
                                "description": "Made by `sovereign audit report`, not by a plan.",
                            }
                        ]
                    },
                }
            },
            indent=2,
        )
        + "\n"
    ).encode()


def _observation(document: Mapping[str, Any], control: Mapping[str, Any]) -> dict[str, Any]:
    shown = [
        e["text"] if e["first"] is None else f"{e['count']} {e['text']}"
        for e in control["evidence"]
    ]
    made: dict[str, Any] = {
        "uuid": _uuid(document, control["id"]),
        "title": f"{control['id']} {control['title']}",
        "description": f"{control['shows']} In this period: {'; '.join(shown)}.",
        "props": [_prop("state", control["state"]), _prop("control", _control_id(control["id"]))],
        "methods": ["EXAMINE"],
        "types": ["control-objective"],
        "collected": document["made"],
    }
    evidence = [
        {
            "description": f"records {e['first']} to {e['last']} of {document['log']['origin']}",
            "props": [_prop("count", str(e["count"])), _prop("measure", e["name"])],
        }
        for e in control["evidence"]
        if e["first"] is not None
    ]
    if evidence:
        made["relevant-evidence"] = evidence
    if control["gaps"]:
        made["remarks"] = f"This log cannot show {'; '.join(control['gaps'])}."
    return made


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": "https://github.com/sovereign-toolkit/sovereign", "value": value}


def _control_id(section: str) -> str:
    """``AU-9(3)`` is au-9.3 in NIST's catalogue."""
    return _ENHANCEMENT.sub(r"\1.\2", section.lower())


def _uuid(document: Mapping[str, Any], part: str) -> str:
    """Version 5: the same report has the same identifiers."""
    period = document["period"]
    names = (document["log"]["key"], period["since"], period["until"], document["made"], part)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(names)))
