"""Reports and their archives for tests, made as the command makes them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import logs

from sovereign.audit.note import Checkpoint, Signer
from sovereign.audit.report import archive
from sovereign.audit.report.document import build
from sovereign.audit.report.gather import Gathered, Period, gather
from sovereign.audit.report.page import page

MADE = "2026-11-25T12:00:00.000Z"
JULY = Period("2026-07-01T00:00:00.000Z", "2026-08-01T00:00:00.000Z")
SIGNER = Signer.from_seed(logs.ORIGIN, logs.SEED)


def document(
    folder: Path, framework: str = "hipaa", period: Period = JULY, **more: Any
) -> dict[str, Any]:
    """The document of a report over the log in ``folder``."""
    with gather(folder, logs.verifier(), period, key_from="the test") as found:
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
    with gather(folder, logs.verifier(), period, key_from="the test") as found:
        made = _build(found, framework)
        return archive.write(
            out, made, found, html=page(made), pdf=None, signer=signer, kept=kept, records=records
        )


def rewritten(
    source: Path, target: Path, change: dict[str, bytes | None], sign: Signer | None = None
) -> Path:
    """The archive with files changed, added or (None) left out; signed anew, or not."""
    with zipfile.ZipFile(source) as old:
        files: dict[str, bytes | None] = {n: old.read(n) for n in old.namelist()} | change
    kept = {name: data for name, data in files.items() if data is not None}
    if sign is not None:
        text = kept.pop("manifest").decode().rpartition("\n\n")[0]
        head = text.split("\n")[:3]
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in kept.items()]
        kept["manifest"] = sign.sign("\n".join([*head, *lines]) + "\n").encode()
    with zipfile.ZipFile(target, "w") as new:
        for name, data in kept.items():
            new.writestr(name, data)
    return target


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
