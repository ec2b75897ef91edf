"""``sovereign scan --against-log``: which calls of a proxy's log went around the gateway."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from sovereign.cli.guarded import configured
from sovereign.errors import AuditError, ConfigError, LogTampered, ScanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sovereign.audit.stored import Stored
    from sovereign.audit.verify import Report
    from sovereign.config import Config
    from sovereign.scan.against import Against, Span, Verdict

__all__ = ["against"]

SHOWN = 12
TRIES = 3
"""How often a gateway that is at work is waited for until it has signed what it recorded."""


def against(
    paths: tuple[str, ...], log: Path, key: str | None, out: Path, config: str, *, as_json: bool
) -> None:
    """Write OUT/around.jsonl and around.json. Exit status 1 unless every call is the gateway's."""
    from sovereign.cli.scan_files import whole
    from sovereign.scan.against import Against

    loaded = configured(config)
    _verified(log, key, loaded)  # a log that is not whole is said before anything else is read
    found = Against(_places(loaded))
    try:
        unread = _calls(paths, found, out)
        report = _reached(log, key, loaded)
        span = _records(log, report, found)
        verdict = found.judge(span)
        told: dict[str, Any] = {
            **asdict(verdict),
            "audit_log": {
                "key": report.key,
                "key_from": report.key_from,
                "records": report.covered,
                "root": report.root,
                "lost": report.declared_lost,
                "from": _said(span.first),
                "to": _said(span.last),
            },
            "unread": [{"path": path, "reason": why} for path, why in unread],
        }
        rows = (json.dumps(one) + "\n" for one in found.around())
        whole(out / "around.jsonl", lambda f: f.writelines(row.encode() for row in rows))
        text = json.dumps(told, indent=2) + "\n"
        whole(out / "around.json", lambda f: f.write(text.encode()))
        click.echo(text if as_json else "\n".join(_lines(verdict, told, found, out)))
    finally:
        found.close()
    if verdict.around or verdict.unjudged or unread:
        raise SystemExit(1)


def _verified(log: Path, key: str | None, loaded: Config | None) -> Report:
    """The log is what was signed, from its first record on, or nothing is said at all."""
    from sovereign.audit import verify
    from sovereign.audit.log import read_key
    from sovereign.audit.note import Signer

    key_from = "--log-key"
    if key is None and loaded is not None and log.absolute() == loaded.resolve(loaded.audit.path):
        try:
            key = str(Signer.from_seed(loaded.audit.origin, read_key(loaded)).verifier)
            key_from = "[audit].key_file"
        except ConfigError:
            key = None
    try:
        report = verify.verify(log, key=key, key_from=key_from, jobs=verify.processors())
    except (verify.NotALog, OSError) as e:
        raise AuditError(f"audit log: {e}", hint="the folder of [audit].path, or a copy") from None
    if not report.ok:
        first = report.problems[0]
        raise LogTampered(
            f"{first}; nothing is held against a log that is not whole",
            index=first.record,
            hint="`sovereign audit verify` says all that is wrong",
        )
    return report


def _reached(log: Path, key: str | None, loaded: Config | None) -> Report:
    """The log as it is by now, signed as far as it goes by now: a request is recorded before it
    leaves, so it has all that was read of the calls of a gateway that is at work."""
    from sovereign.audit.sequencer import CHECKPOINT_SECONDS

    report = _verified(log, key, loaded)
    size = report.size
    for _ in range(TRIES):
        if report.covered >= size:
            break
        time.sleep(CHECKPOINT_SECONDS)
        report = _verified(log, key, loaded)
    return report


def _records(log: Path, report: Report, found: Against) -> Span:
    """Give ``found`` every record that is signed, and say of which time they are."""
    from sovereign.audit.history import begun, logs
    from sovereign.audit.note import Verifier
    from sovereign.audit.stored import open_stored
    from sovereign.audit.tree import Frontier
    from sovereign.scan.against import Span

    past = logs(log, Verifier.parse(report.key))
    first, last, deleted = float("inf"), 0.0, []
    for place, one in enumerate(past):
        if one.deleted and len(past) > 1:
            after = begun(past[place + 1]) if place + 1 < len(past) else "9999-01-01T00:00:00Z"
            deleted.append((_moment(begun(one)), _moment(after)))
            continue
        with open_stored(one.folder, one.verifier) as stored:
            _, newest = stored.checkpoint()
            if Frontier().extend(_taken(stored, newest.size, found)).root() != newest.root:
                raise LogTampered("the log changed while it was read", hint="do it again")
            for index in (0, newest.size - 1):
                ((_, data, _),) = stored.entries(index, index + 1)
                moment = _moment(json.loads(data)["time"])
                first, last = min(first, moment), max(last, moment)
    return Span(first, last, tuple(deleted))


def _taken(stored: Stored, size: int, found: Against) -> Iterator[bytes]:
    for _, data, leaf in stored.entries(0, size):
        found.record(data)
        yield leaf


def _calls(paths: tuple[str, ...], found: Against, out: Path) -> list[tuple[str, str]]:
    """Give ``found`` every call of the files; what could not be read, and why."""
    from sovereign.cli.progress import Bytes
    from sovereign.scan.readers import open_reader
    from sovereign.scan.record import Record, Unread
    from sovereign.scan.source import FileSource
    from sovereign.scan.walk import Skipped, walk

    unread: list[tuple[str, str]] = []
    there = list(walk([Path(p).absolute() for p in paths], leave=[out]))
    total = sum(0 if isinstance(one, Skipped) else one.size for one in there)
    done = 0
    with Bytes() as bar:
        for one in there:
            if isinstance(one, Skipped):
                unread.append((one.path, one.reason))
                continue
            try:
                source = FileSource.of(Path(one.path))
            except OSError:
                unread.append((one.path, "it could not be read"))
                continue
            reader = open_reader(source)
            for item in [reader] if isinstance(reader, Unread) else reader.read(source):
                if isinstance(item, Unread):
                    at = f"{one.path}!/{item.member}" if item.member else one.path
                    unread.append((at, item.reason))
                elif isinstance(item, Record):  # rows of tables come as such if they tell of a call
                    found.call(one.path, item)
            done += one.size
            bar("against", done, total)
    if not there:
        raise ScanError("there is nothing to read")
    return unread


def _places(loaded: Config | None) -> dict[str, frozenset[str]]:
    """The host of each upstream that is configured, and whose it is."""
    from sovereign.scan.readers.hosts import provider_of

    places: dict[str, frozenset[str]] = {}
    for name, upstream in loaded.upstream.items() if loaded is not None else ():
        host = (urlsplit(str(upstream.base_url)).hostname or "").lower()
        places[name] = frozenset({host, provider_of(host)} - {""})
    return places


def _lines(verdict: Verdict, told: dict[str, Any], found: Against, out: Path) -> list[str]:
    log = told["audit_log"]
    lines = [
        f"audit log whole: {log['records']:,} records, {log['from']} to {log['to']},"
        f" root {log['root'][:16]}… (key from {log['key_from']})",
        f"{verdict.calls:,} calls to hosted APIs: {verdict.by_request:,} by request id and"
        f" {verdict.by_body:,} by body are the gateway's; {verdict.by_time:,} may be, by place and"
        " time",
    ]
    if log["lost"]:
        lines.append(f"{log['lost']:,} records were lost before they got into the audit log")
    if verdict.summaries:
        lines.append(f"{verdict.summaries:,} rows sum up calls, and are none: not judged")
    if verdict.unseen:
        lines.append(f"{verdict.unseen:,} requests of the gateway are in no log that was read")
    lines.append(f"around the door: {verdict.around:,}")
    if verdict.unjudged:
        lines.append(f"not judged: {verdict.unjudged:,}")
    for shown, one in enumerate(found.around()):
        if shown == SHOWN:
            lines.append(f"  … all of them in {out / 'around.jsonl'}")
            break
        at = one["file"] + (f"!/{one['member']}" if one["member"] else "")
        when = _said(one["time"]) if one["time"] is not None else "at an unknown time"
        model = f" ({one['model']})" if one["model"] else ""
        to = one["host"] or one["provider"]
        lines.append(f"  {at}:{one['number']}  {when}  {to}{model}: {one['reason']}")
    lines += [f"not read: {one['path']}: {one['reason']}" for one in told["unread"][:SHOWN]]
    return lines


def _moment(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def _said(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
