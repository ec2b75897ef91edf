"""A bill of materials of one model: CycloneDX 1.7, ML-BOM, made of what the lock and the model's
own files say, and no more.

https://cyclonedx.org/docs/1.7/json/. It has no time and no random serial number: the same entry
gives the same bytes.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from sovereign import __version__
from sovereign.weights.described import Description
from sovereign.weights.lock import Entry, seal_of

__all__ = ["bom"]

SCHEMA = "http://cyclonedx.org/schema/bom-1.7.schema.json"


def bom(entry: Entry, said: Description) -> bytes:
    """The CycloneDX document of ``entry`` as JSON; ``said`` becomes its model card."""
    known = entry.licence not in ("unknown", "other")
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{entry.name}",
        "name": entry.source if entry.commit else entry.name,
        "version": entry.commit or entry.digest,
        "hashes": [{"alg": "SHA-256", "content": entry.digest}],
        # A name, not an id: the schema's list of ids is closed, and licences of models are not.
        "licenses": [{"license": {"name": entry.licence}}] if known else [],
        "properties": _properties(entry),
        "components": [
            {
                "type": "file",
                "bom-ref": f"file:{entry.name}/{f.path}",
                "name": f.path,
                "hashes": [{"alg": "SHA-256", "content": f.sha256}],
                "properties": [{"name": "sovereign:size", "value": str(f.size)}],
            }
            for f in sorted(entry.files, key=lambda f: f.path)
        ],
    }
    card, rows = _card(entry, said), _datasets(entry, said)
    if card:
        model["modelCard"] = {"modelParameters": card}
    if entry.purl:
        model["purl"] = entry.purl
    if entry.base:
        version = {"version": entry.base.revision} if entry.base.revision else {}
        base = {"type": "machine-learning-model", "name": entry.base.repo, **version}
        model["pedigree"] = {"ancestors": [base]}
    document = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seal_of(entry))}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "sovereign-toolkit", "version": __version__}
                ]
            }
        },
        "components": [model, *rows],
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _card(entry: Entry, said: Description) -> dict[str, Any]:
    known = {
        "architectureFamily": said.family,
        "modelArchitecture": said.architecture,
        "datasets": [{"ref": row["bom-ref"]} for row in _datasets(entry, said)],
    }
    return {name: value for name, value in known.items() if value}


def _datasets(entry: Entry, said: Description) -> list[dict[str, Any]]:
    return [
        {
            "type": "data",
            "bom-ref": f"data:{entry.name}/{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": sha256}],
            "data": [{"type": "dataset", "name": name}],
        }
        for name, sha256 in said.datasets
    ]


def _properties(entry: Entry) -> list[dict[str, str]]:
    known = {
        "sovereign:seal": seal_of(entry),
        "sovereign:kind": entry.kind,
        "sovereign:licence-text-sha256": entry.licence_sha256,
        "sovereign:tokenizer-sha256": entry.tokenizer,
        "sovereign:chat-template-sha256": entry.chat_template,
        "sovereign:source-sha256": entry.source_sha256,
    }
    known |= {f"sovereign:scan:{s.scanner}-{s.version}": s.verdict for s in entry.scans}
    return [{"name": name, "value": value} for name, value in known.items() if value]
