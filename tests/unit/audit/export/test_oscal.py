"""OSCAL assessment results, read by bindings that are generated from NIST's JSON schema."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import reports
from oscal_bindings.v1.models import AssessmentResultsDocument
from pydantic import ValidationError

from sovereign.audit.export import oscal
from sovereign.errors import ConfigError


def results(document: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(oscal.build(document))
    AssessmentResultsDocument.model_validate_json(json.dumps(made))
    return made


def test_the_results_are_what_nists_schema_asks_for(busy: Path) -> None:
    """Every control is reviewed and observed, by its identifier in NIST's catalogue."""
    document = reports.document(busy, "nist-800-53")
    (result,) = results(document)["assessment-results"]["results"]
    (selection,) = result["reviewed-controls"]["control-selections"]
    ids = [c["control-id"] for c in selection["include-controls"]]
    assert {"au-2", "au-9.3", "sc-7.10"} <= set(ids)
    assert len(result["observations"]) == len(ids) == len(document["controls"])
    assert all(
        "This log cannot show" in o["remarks"] for o in result["observations"] if "remarks" in o
    )


def test_nothing_is_said_to_be_satisfied(busy: Path) -> None:
    """A finding would; an assessor makes those."""
    text = json.dumps(results(reports.document(busy, "nist-800-53")))
    assert '"findings"' not in text
    assert "satisfied" not in text.replace("No control is said to be satisfied", "")


def test_a_log_that_failed_says_so(busy: Path) -> None:
    """In a property of the result and the state of each observation."""
    document = copy.deepcopy(reports.document(busy, "nist-800-53"))
    document["verification"]["ok"] = False
    (result,) = results(document)["assessment-results"]["results"]
    assert {"log-verified": "false"}.items() <= {
        p["name"]: p["value"] for p in result["props"]
    }.items()


def test_the_bindings_can_refuse(busy: Path) -> None:
    """Otherwise the tests above say nothing."""
    made = results(reports.document(busy, "nist-800-53"))
    del made["assessment-results"]["results"][0]["reviewed-controls"]
    with pytest.raises(ValidationError):
        AssessmentResultsDocument.model_validate_json(json.dumps(made))


def test_a_framework_without_an_oscal_catalogue_is_refused(busy: Path) -> None:
    """Its sections are no identifiers that a tool could look up."""
    with pytest.raises(ConfigError) as caught:
        oscal.build(reports.document(busy, "hipaa"))
    assert "nist-800-53" in caught.value.hint
