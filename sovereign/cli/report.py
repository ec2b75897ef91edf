"""`sovereign audit report`: what a log shows about a period, beside a framework's controls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sovereign.cli.options import config_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from sovereign.audit.cosign import WitnessKey
    from sovereign.audit.note import Checkpoint, Signer, Verifier
    from sovereign.audit.report.gather import Gathered, Period
    from sovereign.types import JSON

__all__ = ["report_command", "which_log"]

Command = TypeVar("Command", bound="Callable[..., Any]")

FRAMEWORKS = ("hipaa", "gdpr", "ai-act", "pci", "glba", "soc2", "nist-800-53")
ENDINGS = (".zip", ".html", ".pdf", ".json")
WAIT_SECONDS = 3.0


def which_log(command: Command) -> Command:
    """``--config``, ``--path`` and ``--key``: the log that is read, and who must have signed it."""
    options = (
        config_option,
        click.option(
            "--path",
            type=click.Path(path_type=Path),
            help="The log's folder, or a copy of it; no configuration is read, "
            "and nothing recorded.",
        ),
        click.option("--key", help="The verifier key, from `sovereign audit key`, kept elsewhere."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("report")
@click.option("--from", "since", required=True, help="From this day or moment (UTC): 2026-01-31.")
@click.option("--to", "until", required=True, help="To the end of this day, or to this moment.")
@click.option(
    "--framework", required=True, type=click.Choice(FRAMEWORKS), help="Whose controls to list."
)
@click.option(
    "--out",
    "outs",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file; its ending says what: .zip (all of it, signed), .html, .pdf or .json. May be"
    " given again. Default: evidence-FRAMEWORK-FROM-TO.zip",
)
@click.option(
    "--records/--no-records",
    default=True,
    show_default=True,
    help="Put the period's records into the archive, so that others can count again.",
)
@click.option(
    "--pdf/--no-pdf", default=True, show_default=True, help="Put a PDF into the archive, too."
)
@which_log
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint kept elsewhere: the log must still begin with what it signed.",
)
@click.option(
    "--witness", "witnesses", multiple=True, help="A witness's key: its cosignature must be there."
)
@click.option(
    "--report-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Sign the archive with these 32 bytes, not with the log's key. Made if missing.",
)
@click.option(
    "--report-name", help="The name that --report-key signs under: a host and path, no scheme."
)
def report_command(
    since: str,
    until: str,
    framework: str,
    outs: tuple[Path, ...],
    records: bool,
    pdf: bool,
    config: Path,
    path: Path | None,
    key: str | None,
    checkpoints: tuple[Path, ...],
    witnesses: tuple[str, ...],
    report_key: Path | None,
    report_name: str | None,
) -> None:
    """Verify the log, count a period, and write evidence for a framework's controls.

    The archive holds the report as HTML, PDF and JSON, the checkpoint, proofs and records, and what
    checks them all without this toolkit: python -I ARCHIVE.zip --key VKEY. Exit status 1 if the log
    is not what was signed; the report is written all the same, and says so.
    """
    from datetime import UTC, datetime

    import sovereign
    from sovereign.audit import verify
    from sovereign.audit.report import document as documents
    from sovereign.audit.report.gather import gather
    from sovereign.cli.audit import _progress, _whole
    from sovereign.cli.evidence import _log
    from sovereign.errors import LogTampered

    period = period_of(since, until)
    outs = outs or (Path(f"evidence-{framework}-{period.since[:10]}-{_last_day(period)}.zip"),)
    for out in outs:
        if out.suffix not in ENDINGS:
            raise click.UsageError(f"--out ends in one of {', '.join(ENDINGS)}")
    archived = any(out.suffix == ".zip" for out in outs)
    signer = _signer(config, path, report_key, report_name) if archived else None
    keys = _witnesses(witnesses)
    recorded = None if path else record(config, "log.read", command="report")
    _, verifier = _log(config, path, key)
    key_from = "--key" if key else "log.pub" if path else "[audit].key_file"
    if recorded is not None:
        _wait_until_covered(config, key, recorded)
    with (
        _progress() as progress,
        _whole(config, path) as folder,
        gather(
            folder,
            verifier,
            period,
            key_from=key_from,
            checkpoints=checkpoints,
            jobs=verify.processors(),
            progress=progress,
        ) as gathered,
    ):
        kept = _kept(checkpoints, verifier) if gathered.ok else []
        document = documents.build(
            gathered,
            framework,
            verifier=verifier,
            key_from=key_from,
            made=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            version=sovereign.__version__,
            kept_elsewhere=len(kept),
            witnesses=keys,
        )
        digests = _write(outs, document, gathered, signer, kept, records=records, printed=pdf)
    for out in outs:
        click.echo(f"wrote {out}")
    if recorded is not None:
        _record_report(config, framework, period, gathered, digests)
    _say(gathered, document["counts"]["records"])
    if gathered.ok and (missing := document["checkpoint"]["not_cosigned"]):
        raise LogTampered(
            f"the checkpoint is not cosigned by {missing[0]}",
            hint="`sovereign audit witness-ask` has it cosigned; the report says that it is not",
        )
    if not gathered.ok:
        problems = gathered.verification.problems
        said = str(problems[0]) if problems else "it has no checkpoint, or cannot be read whole"
        raise LogTampered(
            f"the log is not what was signed: {said}",
            hint="the report says so, in red; `sovereign audit verify` lists everything",
        )


def period_of(since: str, until: str) -> Period:
    """--from and --to as a period. Wrong usage if nothing can lie in it."""
    from sovereign.audit.report.gather import Period
    from sovereign.cli.search import _moment

    start, stop = _moment("--from", since, end=False), _moment("--to", until, end=True)
    if start is None or stop is None or start >= stop:
        raise click.UsageError("--from lies before --to")
    return Period(start, stop)


def record(config: Path, kind: str, **fields: JSON) -> int | None:
    """Append a record about this reading, if this user can: its index, or None with a note."""
    from sovereign.audit.log import open_log
    from sovereign.audit.mirror import local
    from sovereign.audit.place import Place
    from sovereign.audit.record import event
    from sovereign.audit.store.folders import newest_folder
    from sovereign.config import load_config
    from sovereign.errors import AuditError, ConfigError

    loaded = load_config(config)
    folder = local(Place.of(loaded))
    if not (newest_folder(folder) / "log.db").exists():
        raise AuditError(
            f"audit log: {folder} holds no log",
            hint="the gateway begins one; see [audit].path in sovereign.toml",
        )
    try:
        with open_log(loaded, "audit-report", announce=False) as log:
            return log.append(event(kind, **fields)).index
    except (AuditError, ConfigError) as e:
        click.echo(f"note: this reading is not recorded: {e}", err=True)
        return None


def _wait_until_covered(config: Path, key: str | None, index: int) -> None:
    """A running log signs each second. What it had when this command was given is then under a
    checkpoint; if not, the report says how much is not."""
    import time

    from sovereign.audit.history import find
    from sovereign.audit.stored import open_stored
    from sovereign.cli.evidence import _log
    from sovereign.errors import AuditError

    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        try:
            newest = find(*_log(config, None, key), None)  # of a database, what it has now
            with open_stored(newest.folder, newest.verifier) as stored:
                if stored.checkpoint()[1].size > index:
                    return
        except AuditError:
            return  # whoever reads it next says what is wrong
        time.sleep(0.1)


def _record_report(
    config: Path, framework: str, period: Period, gathered: Gathered, digests: dict[str, str]
) -> None:
    """That this report was made, over what, and which file it is."""
    record(
        config,
        "log.report",
        framework=framework,
        since=period.since,
        until=period.until,
        size=gathered.verification.size,
        outcome="ok" if gathered.ok else "error",
        sha256=next(iter(digests.values()), None),
    )


def _signer(config: Path, path: Path | None, file: Path | None, name: str | None) -> Signer:
    """Who signs the archive: a key of its own, or the log's."""
    import secrets

    from sovereign.audit.durable import write_whole
    from sovereign.audit.log import read_key, read_seed
    from sovereign.audit.note import Signer, is_name
    from sovereign.config import load_config
    from sovereign.errors import ConfigError

    if (file is None) != (name is None):
        raise click.UsageError("--report-key and --report-name go together")
    if file is not None and name is not None:
        if not is_name(name):
            raise click.UsageError("--report-name holds no space and no plus")
        if not file.exists():
            write_whole(file, secrets.token_bytes(32), mode=0o600)
        return Signer.from_seed(name, read_seed(file))
    if path is not None:
        raise ConfigError(
            "nothing to sign the archive with: with --path no configuration is read",
            hint="--report-key FILE --report-name NAME, or --out report.html",
        )
    loaded = load_config(config)
    return Signer.from_seed(loaded.audit.origin, read_key(loaded))


def _witnesses(witnesses: tuple[str, ...]) -> tuple[WitnessKey, ...]:
    from sovereign.audit.cosign import WitnessKey

    return tuple(WitnessKey.parse(one) for one in witnesses)


def _kept(checkpoints: tuple[Path, ...], verifier: Verifier) -> list[tuple[str, Checkpoint]]:
    """The checkpoints from elsewhere, of any log; verification has agreed with each."""
    from sovereign.audit.history import signed_by
    from sovereign.audit.note import open_checkpoint

    notes = [file.read_text("utf-8") for file in checkpoints]
    return [(note, open_checkpoint(note, signed_by(note, verifier))) for note in notes]


def _write(
    outs: tuple[Path, ...],
    document: dict[str, JSON],
    gathered: Gathered,
    signer: Signer | None,
    kept: list[tuple[str, Checkpoint]],
    *,
    records: bool,
    printed: bool,
) -> dict[str, str]:
    """Write every file; SHA-256 by name."""
    import hashlib

    from sovereign.audit.durable import write_whole
    from sovereign.audit.report import archive
    from sovereign.audit.report.page import page
    from sovereign.audit.report.pdf import pdf
    from sovereign.errors import MissingExtra

    html, digests = page(document), dict[str, str]()
    made: bytes | None = None
    if any(out.suffix == ".pdf" or (printed and out.suffix == ".zip") for out in outs):
        try:
            made = pdf(html)
        except MissingExtra as e:
            if any(out.suffix == ".pdf" for out in outs):
                raise
            click.echo(f"note: no PDF in the archive: {e}; {e.hint}", err=True)
    for out in outs:
        if out.suffix == ".zip":
            assert signer is not None
            digests[out.name] = archive.write(
                out,
                document,
                gathered,
                html=html,
                pdf=made,
                signer=signer,
                kept=kept,
                records=records,
            )
            continue
        content = {
            ".html": html.encode(),
            ".pdf": made or b"",
            ".json": archive.write_json(document),
        }[out.suffix]
        write_whole(out, content, mode=0o600)
        digests[out.name] = hashlib.sha256(content).hexdigest()
    return digests


def _say(gathered: Gathered, counted: int) -> None:
    from sovereign.audit.report.page import OUTCOME_SERIES

    spans = gathered.tally.spans
    became = ", ".join(f"{spans.get(s.key, [0])[0]:,} {s.name}" for s in OUTCOME_SERIES)
    click.echo(f"{counted} records in the period: {became}")
    if not counted:
        click.echo("note: the log has no record of this period", err=True)


def _last_day(period: Period) -> str:
    from datetime import datetime, timedelta

    last = datetime.fromisoformat(period.until) - timedelta(milliseconds=1)
    return last.date().isoformat()
