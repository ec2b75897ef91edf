"""The catalogues of controls that ship."""

from __future__ import annotations

import re

import pytest

from sovereign.audit.report import framework
from sovereign.cli.report import FRAMEWORKS
from sovereign.errors import ConfigError

SECTION = {
    "hipaa": r"164\.\d{3}(\([a-zA-Z0-9]+\))*",
    "gdpr": r"Art\. \d+(\(\d\))*(\([a-z]\))?(, \d+(\(\d\))*| to \d+)?",
    "ai-act": r"Art\. \d+(\(\d+\))?(\([a-z]\))?(, \([a-z]\))?",
    "pci": r"\d+(\.\d+)+(, \d+(\.\d+)+)*",
    "glba": r"314\.4\([a-j]\)(\(\d\))?",
    "soc2": r"(CC|C|P|PI)\d\.\d+",
    "nist-800-53": r"[A-Z]{2}-\d+(\(\d+\))?",
}


def test_the_command_offers_each_catalogue() -> None:
    """Its list stands in the command, so that help needs no file."""
    assert sorted(FRAMEWORKS) == framework.names()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_catalogue_cites_sections_and_claims_nothing(name: str) -> None:
    """Sections look like the source's own, once each; no words that say a control is met."""
    loaded = framework.load(name)
    sections = [control.id for control in loaded.control]
    assert len(sections) == len(set(sections)) >= 9
    for control in loaded.control:
        assert re.fullmatch(SECTION[name], control.id), control.id
        words = f"{control.title} {control.asks} {control.shows}".lower()
        assert not re.search(r"complian|satisf(y|ies) |fulfil|guarantees? ", words), control.id
        assert all(not gap.endswith(".") for gap in control.gaps)
    assert loaded.gaps


def test_an_unknown_catalogue_names_those_there_are() -> None:
    """And never a path: the name is looked up, not opened."""
    for name in ("hippa", "../../../etc/passwd"):
        with pytest.raises(ConfigError) as caught:
            framework.load(name)
        assert "nist-800-53" in caught.value.hint


def test_evidence_that_nobody_counts_is_an_error() -> None:
    """A typo in a catalogue must not become a control without evidence."""
    with pytest.raises(ValueError, match="no evidence is named"):
        framework.Control(id="1", title="t", asks="a", evidence=("desicions",), shows="s")
