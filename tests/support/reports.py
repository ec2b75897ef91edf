"""Reports and their archives for tests, made as the command makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import logs

from sovereign.audit.note import Checkpoint, Signer
from sovereign.audit.report import archive
from sovereign.audit.report.document import build
from sovereign.audit.report.gather import Gathered, Period, gather
from sovereign.audit.report.page import page
from sovereign.audit.stored import open_stored

MADE = "2026-11-25T12:00:00.000Z"
JULY = Period("2026-07-01T00:00:00.000Z", "2026-08-01T00:00:00.000Z")
SIGNER = Signer.from_seed(logs.ORIGIN, logs.SEED)


def document(
    folder: Path, framework: str = "hipaa", period: Period = JULY, **more: Any
) -> dict[str, Any]:
    """The document of a report over the log in ``folder``."""
    with open_stored(folder, logs.verifier()) as stored:
        found = gather(stored, folder, logs.verifier(), period, key_from="the test")
        return _build(found, framework, **more)


def zipped(
    folder: Path,
    out: Path,
    *,
    framework: str = "hipaa",
    period: Period = JULY,
    signer: Signer = SIGNER,
    kept: tuple[tuple[str, Checkpoint], ...] = (),
    records: bool = True,
) -> str:
    """Write the archive of a report, without a PDF; its SHA-256."""
    with open_stored(folder, logs.verifier()) as stored:
        found = gather(stored, folder, logs.verifier(), period, key_from="the test")
        made = _build(found, framework)
        return archive.write(
            out, made, found, html=page(made), pdf=None, signer=signer, kept=kept, records=records
        )


def _build(found: Gathered, framework: str, **more: Any) -> dict[str, Any]:
    return build(
        found,
        framework,
        verifier=logs.verifier(),
        key_from="the test",
        made=MADE,
        version="0.0.0",
        **more,
    )
