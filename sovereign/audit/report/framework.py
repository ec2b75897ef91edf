"""Catalogues of controls: which sections of a rule a log has evidence for, and what it cannot show.

They are data (``frameworks/*.toml``), in our own words. Nothing here says that a control is met: a
log has evidence *for* one, and whoever assesses decides.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sovereign import toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel

__all__ = ["LABELS", "Control", "Framework", "digest", "load", "names"]

FOLDER = Path(__file__).parent / "frameworks"

LABELS: dict[str, str] = {
    "decisions": "requests decided on",
    "sent_hosted": "requests sent to hosted APIs",
    "allowed": "sent to hosted APIs unchanged",
    "changed": "sent to hosted APIs after masking or pseudonymising",
    "kept_local": "asked of a hosted model, kept inside by the policy",
    "local": "asked of a model inside",
    "inside": "requests answered inside",
    "refused": "requests refused",
    "refused_before": "refused before anything was decided about what was in it",
    "refused_policy": "refused because the policy blocks what was in it",
    "refused_unreadable": "refused because it could not be read",
    "refused_no_key": "refused for want of a valid API key",
    "refused_not_permitted": "refused because the key may not use the model",
    "refused_guard_failed": "refused because a recogniser failed",
    "refused_residual": "stopped by the check of the outgoing bytes",
    "refused_no_log": "refused because the log could not take a record",
    "with_findings": "decisions in which personal data or secrets were found",
    "with_tokens": "decisions that can be searched by value",
    "results": "results recorded, of answers and of failures",
    "failed": "requests that did not end well",
    "policy_loads": "policies loaded",
    "policies_refused": "policy files that were not taken over",
    "gateway_starts": "gateway starts, each with policy and recogniser digests",
    "gateway_stops": "gateway stops",
    "key_changes": "API keys created, rotated or revoked",
    "keys_created": "API keys created",
    "keys_revoked": "API keys revoked",
    "weights_imported": "weights admitted, with their digest",
    "weights_verified": "weights verified against their lock",
    "weights_refused": "weights refused",
    "tune_runs": "fine-tuning runs, with data and adapter digests",
    "models_served": "models taken into service",
    "reads": "times that somebody read, searched, reported on or exported the log",
    "searches": "searches of the log by value",
    "reports": "reports made from the log",
    "exports": "exports of the log",
    "heartbeats": "heartbeats of the log's sources",
    "log_openings": "openings of the log",
    "log_closings": "closings of the log",
    "restarts": "restarts of the process that writes the log",
    "spools": "times that records were kept on disk until the log was back",
    "gaps": "gaps that the log declares",
}
"""What :func:`sovereign.audit.report.tally.measures` counts, in words. A test holds both equal."""

SPECIAL = ("verification", "completeness", "retention")
"""Evidence that is not a count: that the log verifies, that nothing is missing, how old it is."""


def _evidence(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in LABELS and name not in SPECIAL:
            raise ValueError(f"no evidence is named {name!r}")
    return names


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Evidence = Annotated[
    tuple[str, ...], AfterValidator(_evidence), BeforeValidator(_tuple), Field(min_length=1)
]


class Control(StrictModel):
    """One section: what it asks in our words, which evidence bears on it, what is not shown."""

    id: str = Field(description='the section, such as id = "164.312(b)"')
    title: str = Field(description="its name")
    asks: str = Field(description="what it asks, in one sentence of our own")
    evidence: Evidence = Field(description="names of counts; see framework.py")
    shows: str = Field(description="how this evidence bears on it")
    gaps: Words = Field((), description='sentences that go on "this log cannot show"')


class Framework(StrictModel):
    """A catalogue."""

    name: str = Field(description="what people call it")
    source: str = Field(description="the text that the sections are numbered in")
    edition: str = Field(description="which edition")
    note: str = Field(description="what to know before reading")
    oscal: Literal["control-ids", "none"] = Field(
        "none", description='"control-ids": its ids, in lower case, are those of an OSCAL catalogue'
    )
    gaps: Words = Field(description='sentences that go on "this log cannot show"')
    control: Annotated[tuple[Control, ...], BeforeValidator(_tuple)] = Field(
        description="[[control]] tables"
    )


def names() -> list[str]:
    """The catalogues that ship, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load(name: str) -> Framework:
    """Raises :class:`ConfigError`, which names the catalogues there are."""
    if name not in names():
        raise ConfigError(f"no framework named {name!r}", hint=f"there are: {', '.join(names())}")
    return toml.read(FOLDER / f"{name}.toml", Framework)


def digest(name: str) -> str:
    """SHA-256 of the catalogue's file, in hex."""
    return hashlib.sha256((FOLDER / f"{name}.toml").read_bytes()).hexdigest()
