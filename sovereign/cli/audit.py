"""`sovereign audit`: serve, verify, show and follow the log; print the key to verify it with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.evidence import EVIDENCE
from sovereign.cli.export import export_command
from sovereign.cli.keeping import KEEPING
from sovereign.cli.options import config_option
from sovereign.cli.publish import PUBLISHING
from sovereign.cli.receipt import receipt_command
from sovereign.cli.report import report_command
from sovereign.cli.search import search_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from sovereign.audit.reader import Place, Shown
    from sovereign.audit.verify import Progress, Report
    from sovereign.types import JSON

__all__ = ["audit_command"]

POLL_SECONDS = 0.5
ID_SHOWN = 10
FOLDED = 4  # from this column on, cells may be broken
STAYED = ("local", "block")
COLUMNS = ("#", "time (UTC)", "type", "request", "team", "model → to", "verdict", "entities")

_path = click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="The log's folder, or a copy of it; no configuration is read then.",
)


@click.group("audit")
def audit_command() -> None:
    """Verify, show and follow the audit log."""


_OTHERS = (receipt_command, search_command, report_command, export_command)
for _command in (*EVIDENCE, *PUBLISHING, *KEEPING, *_OTHERS):
    audit_command.add_command(_command)


@audit_command.command("verify")
@config_option
@_path
@click.option("--key", help="The verifier key, from `sovereign audit key`, kept elsewhere.")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint kept elsewhere: the log must still begin with what it signed.",
)
@click.option("--json", "as_json", is_flag=True, help="The report for machines.")
def verify_command(
    config: Path,
    path: Path | None,
    key: str | None,
    checkpoints: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Recompute every record, hash and signature; say which is wrong.

    It only reads. Exit status 1 if the log is not what was signed. Auditors can run the same file
    without the toolkit: python sovereign/audit/verify.py FOLDER
    """
    import json

    from sovereign.audit import verify
    from sovereign.errors import AuditError, LogTampered

    key_from = "--key"
    if path is None and key is None and (known := _known_key(config)) is not None:
        key, key_from = known, "[audit].key_file"
    try:
        with _whole(config, path) as folder, _progress() as progress:
            report = verify.verify(
                folder,
                key=key,
                key_from=key_from,
                checkpoints=checkpoints,
                progress=progress,
                jobs=verify.processors(),
            )
    except OSError as e:
        raise AuditError(
            f"audit log: cannot read {e.filename or path or config}: {e.strerror}",
            hint="ask as the user who owns the log, or give a copy with --path",
        ) from None
    except verify.NotALog as e:
        raise AuditError(
            f"audit log: {e}", hint="the gateway begins one; see [audit].path in sovereign.toml"
        ) from None
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        for line in report.lines():
            click.echo(line)
    if report.ok:
        if not as_json:
            click.echo("ok: the log is what was signed")
        return
    _also(report)
    first = report.problems[0]
    raise LogTampered(
        str(first),
        index=first.record,
        hint="keep this copy as it is; compare it with a backup, and checkpoints kept elsewhere",
    )


@audit_command.command("show")
@config_option
@_path
@click.option("-n", "last", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--type", "kind", help="Only this type, such as request.intent.")
@click.option("--request", help="Only this request's records: its id, or how the id ends.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--follow", is_flag=True, help="Go on with what is appended, until Ctrl-C.")
def show_command(
    config: Path,
    path: Path | None,
    last: int,
    kind: str | None,
    request: str | None,
    as_json: bool,
    follow: bool,
) -> None:
    """Show the last records. That somebody looked is itself recorded, where the log is writable.

    Heartbeats are left out, but for --json and --type log.heartbeat.
    """
    import time

    from sovereign.audit.reader import BEGINNING, END, read
    from sovereign.audit.schema import ID, SCHEMA

    if kind is not None and kind not in SCHEMA:
        raise click.UsageError(f"no such type; there are: {', '.join(SCHEMA)}")
    if request is not None and not ID.fits(request):
        raise click.UsageError(f"--request must be {ID.says}")
    folder, before = path, END
    if folder is None:
        before = _record_reading(config, "show", by_type=kind, by_request=request) or END
        folder = _configured(config)[0]
    beats = as_json or kind is not None or request is not None
    shown = read(folder, last=last, kind=kind, request=request, beats=beats, before=before)
    _print(shown, as_json=as_json)
    if not shown and not follow:
        click.echo("no such record in this log", err=True)
    seen = shown[-1].place if shown else BEGINNING
    seen = max(seen, before) if before != END else seen
    while follow:
        time.sleep(POLL_SECONDS)
        folder = path or _configured(config)[0]
        new = read(folder, last=10_000, kind=kind, request=request, beats=beats, after=seen)
        _print(new, as_json=as_json, header=False)
        seen = new[-1].place if new else seen


@audit_command.command("key")
@config_option
@_path
def key_command(config: Path, path: Path | None) -> None:
    """Print the verifier key. Keep it, and a checkpoint, where the log's owner cannot write."""
    from sovereign.audit.log import read_key
    from sovereign.audit.note import Signer, Verifier
    from sovereign.config import load_config
    from sovereign.errors import AuditError

    if path is None:
        loaded = load_config(config)
        click.echo(str(Signer.from_seed(loaded.audit.origin, read_key(loaded)).verifier))
        return
    try:
        click.echo(str(Verifier.parse((path / "log.pub").read_text("utf-8"))))
    except (OSError, UnicodeDecodeError):
        raise AuditError(f"{path} holds no log.pub") from None


@audit_command.command("serve")
@config_option
@click.option(
    "--linger", type=float, help="End when nobody was connected for so many seconds.", hidden=True
)
def serve_command(config: Path, linger: float | None) -> None:
    """Run the log's sequencer here: the one process that writes it.

    The gateway starts one if none runs. Run it yourself to have it under a supervisor, and as a
    user of its own who alone can read the signing key's file.
    """
    from sovereign.audit.daemon import serve
    from sovereign.audit.log import read_key
    from sovereign.audit.place import Place
    from sovereign.config import load_config

    loaded = load_config(config)
    place = Place.of(loaded)
    serve(
        place,
        key=read_key(loaded),
        origin=loaded.audit.origin,
        linger=linger,
        heartbeat=loaded.audit.heartbeat_s,
        ready=lambda: click.echo(f"serving {place.folder}"),
    )


def _configured(config: Path) -> tuple[Path, str | None]:
    """A folder to read the log from, and the verifier key if whoever asks may read the signing
    key."""
    from sovereign.audit.mirror import local
    from sovereign.audit.place import Place
    from sovereign.config import load_config

    return local(Place.of(load_config(config))), _known_key(config)


def _known_key(config: Path) -> str | None:
    from sovereign.audit.log import read_key
    from sovereign.audit.note import Signer
    from sovereign.config import load_config
    from sovereign.errors import ConfigError

    loaded = load_config(config)
    try:
        return str(Signer.from_seed(loaded.audit.origin, read_key(loaded)).verifier)
    except ConfigError:
        return None  # an auditor has log.pub, or --key


def _whole(config: Path, path: Path | None) -> AbstractContextManager[Path]:
    """The log's folder as it is now; of a database, a copy that is made for this."""
    import contextlib

    from sovereign.audit.mirror import fresh
    from sovereign.audit.place import Place
    from sovereign.config import load_config

    return contextlib.nullcontext(path) if path else fresh(Place.of(load_config(config)))


def _record_reading(config: Path, command: str, **fields: JSON) -> Place | None:
    """Append a log.read record of ``command``, if this user can; the place where it stands."""
    from sovereign.audit.log import open_log
    from sovereign.audit.record import event
    from sovereign.audit.store.folders import newest_folder
    from sovereign.audit.store.sqlite import FILE
    from sovereign.config import load_config
    from sovereign.errors import AuditError, ConfigError

    loaded = load_config(config)
    if loaded.audit.store is None:
        folder = loaded.resolve(loaded.audit.path)
        if not (newest_folder(folder) / FILE).exists():
            return None
    try:
        with open_log(loaded, f"audit-{command}", announce=False) as log:
            receipt = log.append(event("log.read", command=command, **fields))
            return receipt.log, receipt.index
    except (AuditError, ConfigError) as e:
        click.echo(f"note: this reading is not recorded: {e}", err=True)
        return None


def _also(report: Report) -> None:
    """All problems but the first, which becomes the error line."""
    most = 20
    for problem in report.problems[1:most]:
        click.echo(f"also: {problem}", err=True)
    if len(report.problems) > most:
        click.echo(f"also: {len(report.problems) - most} more; --json lists them", err=True)


def _progress() -> AbstractContextManager[Progress | None]:
    """A bar on a terminal, otherwise nothing."""
    import contextlib

    if not sys.stderr.isatty():
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def bar() -> Iterator[Progress]:
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task("verifying", total=None)

            def step(done: int, total: int) -> None:
                shown.update(task, completed=done, total=total)

            yield step

    return bar()


def _print(shown: Iterable[Shown], *, as_json: bool, header: bool = True) -> None:
    import json

    if as_json:
        for one in shown:
            click.echo(json.dumps(_of(one)))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [_row(one) for one in shown]
    if not rows:
        return
    table = Table(box=box.SIMPLE if header else None, show_header=header, pad_edge=False)
    for i, name in enumerate(COLUMNS):
        # A number that is cut off is another record's.
        whole = None if i >= FOLDED else max(len(cell) for cell in (name, *(r[i] for r in rows)))
        table.add_column(name, overflow="fold", no_wrap=i < FOLDED, min_width=whole)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width to respect
        console.width = 140
    console.width = max(console.width, 100)  # a narrow terminal breaks lines, and loses nothing
    console.print(table)


def _of(shown: Shown) -> dict[str, Any]:
    later = {} if shown.log == 1 else {"log": shown.log}
    return later | {"index": shown.index, "record": shown.record}


def _row(shown: Shown) -> list[str]:
    from sovereign.types import Receipt

    record = shown.record
    place = str(Receipt(shown.index, b"", shown.log))
    if record is None:
        return [place, "", "?", "", "", "", "not a record: sovereign audit verify", ""]
    decided = record.get("verdict")
    entities = [
        # Beside what kept a request inside, or had it refused, nothing was changed for it to go.
        f"{entity} ×{count}" + ("" if decided in STAYED and verb != decided else f" {verb}")
        for entity, counts in record.get("entities", {}).items()
        for verb, count in counts.items()
    ]
    subject = [record.get("model") or record.get("name") or record.get("base")]
    subject.append(record.get("destination"))
    return [
        place,
        str(record["time"])[5:19].replace("T", " "),
        str(record["type"]).removeprefix("request."),
        _short(record.get("request", "")),
        record.get("team", ""),
        " → ".join(filter(None, subject)),
        _verdict(record),
        "\n".join(entities),
    ]


def _short(request: str) -> str:
    """The end of an id tells requests of one process apart, and is enough for ``--request``."""
    return request if len(request) <= ID_SHOWN else f"…{request[-ID_SHOWN:]}"


def _verdict(record: dict[str, Any]) -> str:
    """What was decided, or how it ended."""
    said = [str(record[n]) for n in ("outcome", "code", "reason", "command") if n in record]
    if not said and "verdict" in record:
        said.append(record["verdict"])
    if record.get("status"):
        said.append(str(record["status"]))
    if record.get("rerouted"):
        said.append("(rerouted)")
    return " ".join(said)
