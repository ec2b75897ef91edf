"""A bill of materials of one model as SPDX 3.0.1, JSON-LD: what :mod:`sovereign.weights.bom` says,
for those who ask for SPDX.

https://spdx.github.io/spdx-spec/v3.0.1/. SPDX wants the time at which it was made, so only that
differs between two bills of one entry. Conformance with the AI and dataset profiles is not claimed:
they want who supplied a model and when it was released, which no file of it says.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from sovereign import __version__
from sovereign.weights.described import Description
from sovereign.weights.lock import Entry, seal_of

__all__ = ["spdx"]

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
NO_LICENCE = ("unknown", "other")
LICENCES = {
    name.lower(): name
    for name in (
        "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0",
        "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "AFL-3.0", "AGPL-3.0-only", "GPL-3.0-only", "ISC",
        "MPL-2.0", "Unlicense",
    )
}  # fmt: skip
"""Those of SPDX's list that models come under; all others are references of our own."""


def spdx(entry: Entry, said: Description, now: datetime) -> bytes:
    """The SPDX document of ``entry`` as JSON-LD; ``now`` is aware of its zone."""
    graph = _Graph(f"https://spdx.org/spdxdocs/sovereign/{seal_of(entry)}", now)
    model = graph.add(
        "ai_AIPackage",
        "model",
        name=entry.source if entry.commit else entry.name,
        software_packageVersion=entry.commit or entry.digest,
        software_primaryPurpose="model",
        verifiedUsing=_sha256(entry.digest),
        **({"software_packageUrl": entry.purl} if entry.purl else {}),
        **({"ai_typeOfModel": [said.family]} if said.family else {}),
    )
    files = [
        graph.add("software_File", f"file-{n}", name=f.path, verifiedUsing=_sha256(f.sha256))
        for n, f in enumerate(sorted(entry.files, key=lambda f: f.path))
    ]
    graph.relate(model, "contains", files)
    if entry.licence not in NO_LICENCE:
        kind, expression = "simplelicensing_LicenseExpression", _expression(entry.licence)
        licence = graph.add(kind, "licence", simplelicensing_licenseExpression=expression)
        graph.relate(model, "hasDeclaredLicense", [licence])
    if entry.base:
        version = {"software_packageVersion": entry.base.revision} if entry.base.revision else {}
        base = graph.add("ai_AIPackage", "base", name=entry.base.repo, **version)
        graph.relate(model, "descendantOf", [base])
    for name, sha256 in said.datasets:
        rows = graph.add(
            "dataset_DatasetPackage",
            f"data-{name}",
            name=name,
            dataset_datasetType=["text"],
            verifiedUsing=_sha256(sha256),
        )
        graph.relate(model, "trainedOn" if name == "train" else "testedOn", [rows])
    return graph.document(model)


class _Graph:
    """Elements below one namespace, in the order in which they were added."""

    def __init__(self, namespace: str, now: datetime) -> None:
        self._namespace = namespace
        created = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._rows: list[dict[str, Any]] = [
            {
                "type": "CreationInfo",
                "@id": "_:creation",
                "specVersion": "3.0.1",
                "created": created,
                "createdBy": [f"{namespace}#agent"],
            }
        ]
        self.add("SoftwareAgent", "agent", name=f"sovereign-toolkit {__version__}")

    def add(self, type: str, id: str, **fields: Any) -> str:
        spdx_id = f"{self._namespace}#{id}"
        common = {"type": type, "spdxId": spdx_id, "creationInfo": "_:creation"}
        self._rows.append(common | fields)
        return spdx_id

    def relate(self, source: str, how: str, targets: list[str]) -> None:
        number = sum(row["type"] == "Relationship" for row in self._rows)
        fields = {"from": source, "relationshipType": how, "to": targets}
        self.add("Relationship", f"relationship-{number}", **fields)

    def document(self, root: str) -> bytes:
        elements = [row["spdxId"] for row in self._rows if "spdxId" in row]
        bill = self.add("software_Sbom", "bill", rootElement=[root], element=elements)
        self.add(
            "SpdxDocument",
            "document",
            rootElement=[bill],
            element=[*elements, bill],
            profileConformance=["core", "software", "simpleLicensing"],
        )
        data = {"@context": CONTEXT, "@graph": self._rows}
        return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _sha256(value: str) -> list[dict[str, str]]:
    return [{"type": "Hash", "algorithm": "sha256", "hashValue": value}]


def _expression(licence: str) -> str:
    known = LICENCES.get(licence.lower())
    return known or "LicenseRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", licence)
