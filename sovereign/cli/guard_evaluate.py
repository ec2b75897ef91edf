"""``sovereign guard evaluate``: how well the guard finds what a team has labelled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.guarded import guard_options, open_guard
from sovereign.errors import ConfigError

if TYPE_CHECKING:
    from sovereign.guard.evaluate import Document, Rate, Report

__all__ = ["evaluate_command"]

CONFIDENTIAL = "CONFIDENTIAL: what follows is personal data that was missed."


@click.command("evaluate")
@click.argument("labelled", type=click.Path(path_type=Path))
@guard_options
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page for people.")
@click.option("--show-missed", is_flag=True, help="Quote what was missed: confidential.")
def evaluate_command(
    labelled: Path,
    to: str | None,
    policy: str | None,
    ner: str | None,
    config: str,
    as_json: bool,
    html: Path | None,
    show_missed: bool,
) -> None:
    """Measure recall, leaks and false alarms on LABELLED text.

    One JSON object per line: {"id", "text", "spans": [{"s", "e", "t", "tier"}]} with tier core,
    quasi or ignore; or {"text", "spans": [[start, end, entity]]}. Offsets are code points.
    """
    from sovereign.guard.evaluate import evaluate, read

    if not labelled.is_file():
        raise ConfigError(f"{labelled}: no such file")
    guard, destination = open_guard(config, policy, ner, to)
    documents = _counted(read(labelled), labelled)
    report = evaluate(guard, documents, destination, show_missed=show_missed)
    if html is not None:
        from sovereign.guard.evaluation_page import page

        text = page(
            report,
            title=labelled.name,
            policy=guard.policy.name,
            to=destination.name,
            digest=guard.policy.digest(),
            build=guard.build,
        )
        _write(html, text, private=bool(report.missed))
    if as_json:
        measured: dict[str, Any] = {
            "policy": guard.policy.name,
            "digest": guard.policy.digest(),
            "build": guard.build,
            "destination": destination.name,
        }
        if guard.scanner.second_share is not None:
            measured["second_opinion"] = round(guard.scanner.second_share, 4)
        click.echo(json.dumps(measured | report.as_json(), ensure_ascii=False, indent=2))
    else:
        _print(report, guard.policy.name, destination.name)
        if guard.scanner.second_share is not None:
            share = 100 * guard.scanner.second_share
            click.echo(f"the second opinion read {share:.1f} % of the characters")


def _counted(documents: Iterator[Document], path: Path) -> Iterator[Document]:
    """``documents``, with progress on stderr by the size of what was read."""
    from sovereign.cli.progress import Bytes

    total = path.stat().st_size * (4 if path.suffix == ".gz" else 1)  # text packs about fourfold
    done = 0
    with Bytes() as progress:
        for document in documents:
            yield document
            done += len(document.text) + 60 * len(document.spans)
            progress(path.name, min(done, total), total)


def _print(report: Report, policy: str, destination: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from sovereign.entities import describe

    console = Console(highlight=False)
    console.print(
        f"{report.documents} documents, policy {policy}, on the way to {destination}", markup=False
    )
    if report.refused:
        console.print(f"{report.refused} could not be read: refused, and counted as not found")
    whole = Table("", "share", "95 % interval", "count", box=None, pad_edge=False)
    for name, rate, spans in (
        ("recall (characters)", report.recall, False),
        ("precision (characters)", report.precision, False),
        ("documents leaking", report.leak, True),
        ("gate misses", report.gate_miss, True),
        ("false alarms", report.false_alarm, True),
    ):
        whole.add_row(name, *_cells(rate, interval=spans))
    console.print(whole)
    if report.entities:
        table = Table(
            "entity", "caught", "95 % interval", "spans", "what", box=None, pad_edge=False
        )
        for name, rate in sorted(report.entities.items(), key=lambda e: (e[1].share or 0, e[0])):
            words = describe(name)
            table.add_row(name, *_cells(rate, interval=True), "" if words == name else words)
        console.print()
        console.print(table)
    if report.missed:
        console.print(f"\n[bold red]{CONFIDENTIAL}[/]")
        for m in report.missed:
            where = f"{m.document}  {m.start}-{m.end}  {m.entity}"
            line = f"{where}  {m.before!r} [{m.text!r}] {m.after!r}"
            console.print(line, markup=False, soft_wrap=True)


def _cells(rate: Rate, *, interval: bool) -> tuple[str, str, str]:
    if rate.share is None:
        return "–", "", "0"
    low, high = rate.interval
    sure = f"{100 * low:5.1f} – {100 * high:5.1f}" if interval else ""
    return f"{100 * rate.share:.1f} %", sure, f"{rate.hits} of {rate.total}"


def _write(path: Path, text: str, *, private: bool) -> None:
    """Whole or not at all; only for its owner if it quotes personal data."""
    part = path.with_name(path.name + ".part")
    mode = 0o600 if private else 0o644
    try:
        part.unlink(missing_ok=True)  # an old one may be readable by others
        opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
