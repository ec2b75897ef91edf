"""`sovereign audit export`: the log for a SIEM, a collector, a data lake or a GRC tool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from sovereign.cli.report import which_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from sovereign.audit.export.records import Entry
    from sovereign.audit.note import Verifier
    from sovereign.audit.report.gather import Period

__all__ = ["export_command"]

FORMATS = ("jsonl", "ocsf", "cef", "otel", "parquet", "oscal")


@click.command("export")
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(FORMATS),
    help="JSON lines, OCSF 1.8, CEF, OTLP/JSON, Parquet, or OSCAL assessment results.",
)
@click.option("--from", "since", help="From this day or moment (UTC): 2026-01-31 or …T08:00Z.")
@click.option("--to", "until", help="To the end of this day, or to this moment (UTC).")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; default: stdout."
)
@click.option(
    "--push", is_flag=True, help="otel: send it to [audit].otlp_endpoint instead of a file."
)
@click.option(
    "--framework", default="nist-800-53", show_default=True, help="oscal: whose controls."
)
@which_log
def export_command(
    form: str,
    since: str | None,
    until: str | None,
    out: Path | None,
    push: bool,
    framework: str,
    config: Path,
    path: Path | None,
    key: str | None,
) -> None:
    """Write the log's records in another tool's format, as far as a checkpoint covers them.

    It holds the log's own fields and nothing else. Each record is checked against the schema, and
    all of them against the signed root: a file is put in place only if that holds. That somebody
    exported is itself recorded.
    """
    import contextlib

    from sovereign.audit.export import parquet
    from sovereign.audit.report.gather import Period
    from sovereign.cli.audit import _whole
    from sovereign.cli.evidence import _log
    from sovereign.cli.report import record
    from sovereign.cli.search import _moment

    period = Period(
        _moment("--from", since, end=False) or "", _moment("--to", until, end=True) or "~"
    )
    if period.since >= period.until:
        raise click.UsageError("--from lies before --to")
    if push and (form != "otel" or path is not None or out is not None):
        raise click.UsageError("--push goes with --format otel, and without --path or --out")
    if form == "oscal" and (since is None or until is None):
        raise click.UsageError("--format oscal needs --from and --to")
    if form == "parquet" and out is None:
        raise click.UsageError("--format parquet needs --out")
    endpoint = _endpoint(config) if push else None
    if path is None:
        said = {name: time for name, time in (("since", since), ("until", until)) if time}
        times = {name: getattr(period, name) for name in said}
        record(config, "log.export", format=form, **times)
    folder, verifier = _log(config, path, key)
    if form == "oscal":
        with _whole(config, path) as whole:
            _oscal(whole, verifier, period, framework, out)
        return
    reading = _Reading(folder, verifier, period)
    with contextlib.nullcontext() if endpoint is not None else _sink(out) as sink:
        if form == "parquet" and sink is not None:
            parquet.write(reading.logs(), sink)
        else:
            for origin, entries in reading.logs():
                if endpoint is not None:
                    _push(entries, origin, *endpoint)
                elif sink is not None:
                    _write(form, entries, sink, origin)
    count = reading.count
    where = out or ("the collector" if push else "stdout")
    click.echo(f"{count} records written to {where}", err=True)


class _Reading:
    """The period's records, log by log, counted on their way through."""

    def __init__(self, folder: Path, verifier: Verifier, period: Period) -> None:
        self._folder, self._verifier, self._period = folder, verifier, period
        self.count = 0

    def logs(self) -> Iterator[tuple[str, Iterator[Entry]]]:
        """Origin and entries of each log; they are to be read before the next one is asked for."""
        from sovereign.audit.export.records import read
        from sovereign.audit.history import check_link, end_of, end_of_deleted, logs
        from sovereign.audit.stored import open_stored

        every, before = logs(self._folder, self._verifier), None
        for past in every:
            if past.deleted and len(every) > 1:
                end = end_of_deleted(past)
            else:
                with open_stored(past.folder, past.verifier) as stored:
                    yield past.verifier.name, self._counted(read(stored, *self._times))
                    end = end_of(stored)
            if before is not None:
                check_link(*before, past, end)
            before = past, end

    @property
    def _times(self) -> tuple[str, str]:
        return self._period.since, self._period.until

    def _counted(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.count += 1
            yield entry


def _write(form: str, entries: Iterable[Entry], sink: IO[bytes], origin: str) -> None:
    import sovereign
    from sovereign.audit.export import cef, jsonl, ocsf, otel

    version = sovereign.__version__
    if form == "jsonl":
        sink.writelines(jsonl.lines(entries, origin=origin))
    elif form == "cef":
        sink.writelines(cef.lines(entries, origin=origin, version=version))
    elif form == "ocsf":
        sink.writelines(ocsf.lines(entries, origin=origin, version=version))
    else:
        sink.writelines(otel.batches(entries, origin=origin, version=version))


def _push(entries: Iterable[Entry], origin: str, endpoint: str, token: str | None) -> None:
    import sovereign
    from sovereign.audit.export import otel

    for batch in otel.batches(entries, origin=origin, version=sovereign.__version__):
        otel.push(batch, endpoint, token)


def _endpoint(config: Path) -> tuple[str, str | None]:
    """Where the configuration lets telemetry go, and the token that its environment holds."""
    import os

    from sovereign.config import load_config
    from sovereign.errors import ConfigError

    audit = load_config(config).audit
    if audit.otlp_endpoint is None:
        raise ConfigError(
            "audit.otlp_endpoint is not set",
            hint='name the collector: [audit] otlp_endpoint = "https://HOST/v1/logs"',
        )
    name = audit.otlp_token_env
    if name is not None and not os.environ.get(name):
        raise ConfigError(f"audit.otlp_token_env: the environment has no {name}")
    return audit.otlp_endpoint, os.environ[name] if name is not None else None


def _oscal(
    folder: Path, verifier: Verifier, period: Period, framework: str, out: Path | None
) -> None:
    from datetime import UTC, datetime

    import sovereign
    from sovereign.audit import verify
    from sovereign.audit.export import oscal
    from sovereign.audit.report import document as documents
    from sovereign.audit.report.gather import gather
    from sovereign.errors import LogTampered

    made = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    jobs = verify.processors()
    with gather(folder, verifier, period, key_from="--key", jobs=jobs) as gathered:
        document = documents.build(
            gathered,
            framework,
            verifier=verifier,
            key_from="--key",
            made=made,
            version=sovereign.__version__,
        )
    with _sink(out) as sink:
        sink.write(oscal.build(document))
    if not gathered.ok:
        raise LogTampered(
            "the log is not what was signed; the results say so",
            hint="`sovereign audit verify` lists everything",
        )


def _sink(out: Path | None) -> AbstractContextManager[IO[bytes]]:
    """Where bytes go: stdout, or a file that takes its name when all went well."""
    import contextlib

    from sovereign.audit.durable import staged

    return contextlib.nullcontext(sys.stdout.buffer) if out is None else staged(out)
