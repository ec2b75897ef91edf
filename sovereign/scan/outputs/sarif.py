"""SARIF 2.1.0 (OASIS), as code hosts take it: a rule for each entity, a result for each finding.

The token is a fingerprint, so that a host knows a finding again that moved.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from sovereign.types import JSON

__all__ = ["write"]

_LEVELS = {"block": "error", "local": "error", "mask": "warning", "pseudonymize": "warning"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write(
    findings: Iterable[dict[str, JSON]],
    entities: Iterable[str],
    *,
    root: Path,
    version: str,
    unread: Iterable[dict[str, JSON]] = (),
    known: Container[tuple[str, str]] | None = None,
) -> Iterator[str]:
    """The document in pieces of text: it may be larger than memory. Paths are told as they are
    below ``root``, where they are. ``unread`` are notifications of the run; ``known`` are (entity,
    token) of a baseline, against which each result is new or unchanged."""
    names = sorted(entities)
    rules = [
        {"id": name, "shortDescription": {"text": f"{name.replace('_', ' ').lower()} found"}}
        for name in names
    ]
    driver = {"name": "sovereign scan", "version": version, "rules": rules}
    notes = [_note(one, root) for one in unread]
    run = {"executionSuccessful": True, "toolExecutionNotifications": notes}
    about = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "invocations": [run]}
    head = json.dumps(about)[:-1]
    yield f'{{"$schema": "{_SCHEMA}", "version": "2.1.0", "runs": [{head}, "results": ['
    places = {name: index for index, name in enumerate(names)}
    for at, found in enumerate(findings):
        result = _result(found, places, root)
        if known is not None:
            seen = (found["entity"], found["token"]) in known
            result["baselineState"] = "unchanged" if seen else "new"
        yield (",\n" if at else "\n") + json.dumps(result)
    yield "\n]}]}\n"


def _result(found: dict[str, JSON], places: dict[str, int], root: Path) -> JSON:
    uri = _uri(found["file"], root)
    physical: dict[str, JSON] = {"artifactLocation": {"uri": uri}}
    region: dict[str, JSON] = {}
    if found["unit"] == "line" and not found["member"]:
        region["startLine"] = found["number"]
    if found["offset"] is not None and not found["member"]:
        region |= {"byteOffset": found["offset"], "byteLength": found["length"]}
    if region:
        physical["region"] = region
    where = [found["member"], f"{found['unit']} {found['number']}", found["field"]]
    sent = f", sent to {found['host'] or found['provider']}" if found["direction"] == "sent" else ""
    return {
        "ruleId": found["entity"],
        "ruleIndex": places[found["entity"]],
        "level": _LEVELS.get(found["verb"], "note"),
        "message": {"text": f"{found['entity']} in {', '.join(filter(None, where))}{sent}"},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"sovereignToken/v1": found["token"]},
    }


def _note(unread: dict[str, JSON], root: Path) -> JSON:
    """That something was not read is no result, and not nothing."""
    member = f"{unread['member']}: " if unread["member"] else ""
    place = {"physicalLocation": {"artifactLocation": {"uri": _uri(unread["path"], root)}}}
    return {
        "level": "warning",
        "message": {"text": f"not read: {member}{unread['reason']}"},
        "locations": [place],
    }


def _uri(file: str, root: Path) -> str:
    """A file below ``root`` is told as it is there; a table of a database has a URL already."""
    if "://" in file:
        return quote(file, safe="/:%")
    path = Path(file)
    return quote(str(path.relative_to(root))) if path.is_relative_to(root) else path.as_uri()
