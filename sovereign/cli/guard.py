"""``sovereign guard``: inspect text as the gateway would, and say why."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from sovereign.cli.guard_evaluate import evaluate_command
from sovereign.cli.guard_roster import roster_group
from sovereign.cli.guarded import guard_options, open_guard
from sovereign.errors import ConfigError, SovereignError
from sovereign.types import Action, Destination

if TYPE_CHECKING:
    from sovereign.guard import Guard, Inspection
    from sovereign.types import Finding

__all__ = ["guard_command"]

_HALF = re.compile("[\ud800-\udfff]")


@click.group(name="guard")
def guard_command() -> None:
    """Inspect text as the gateway would."""


guard_command.add_command(evaluate_command)
guard_command.add_command(roster_group)


@guard_command.command("inspect")
@click.argument("text", required=False)
@guard_options
@click.option("--reveal", is_flag=True, help="Show the values that were found.")
@click.option(
    "--jsonl",
    nargs=2,
    metavar="IN OUT",
    help='Read {"id", "text"} or {"id", "msgs"} per line; write {"id", "spans"}.',
)
def inspect_command(
    text: str | None,
    to: str | None,
    policy: str | None,
    ner: str | None,
    config: str,
    as_json: bool,
    reveal: bool,
    jsonl: tuple[str, str] | None,
) -> None:
    """Show what would leave of TEXT, and in what form. "-" reads standard input."""
    if jsonl is not None and text is not None:
        raise click.UsageError("give either TEXT or --jsonl")
    guard, destination = open_guard(config, policy, ner, to)
    if jsonl is not None:
        _bulk(guard, destination, Path(jsonl[0]), Path(jsonl[1]))
        return
    given = _text(text)
    done = guard.inspect(_body([given]), to=destination, shape="openai.chat")
    if as_json:
        click.echo(json.dumps(_report(done, given, reveal), ensure_ascii=False, indent=2))
    else:
        _print(done, given, reveal)


@guard_command.command("explain")
@click.argument("text", required=False)
@guard_options
@click.option("--reveal/--no-reveal", default=True, help="Show the values that were found.")
def explain_command(
    text: str | None,
    to: str | None,
    policy: str | None,
    ner: str | None,
    config: str,
    as_json: bool,
    reveal: bool,
) -> None:
    """Say which recogniser, view, rule and score made each finding, weak ones too."""
    from sovereign.guard.body import Leaf
    from sovereign.guard.resolve import AGAIN
    from sovereign.guard.scan import Deadline
    from sovereign.guard.transform import REST
    from sovereign.guard.views import of_leaf

    guard, destination = open_guard(config, policy, ner, to)
    given = _text(text)
    done = guard.inspect(_body([given]), to=destination, shape="openai.chat")
    kept = {(f.start, f.end, f.entity, f.recognizer) for f in done.findings}
    leaf = Leaf((), given, "text")
    seen = guard.scanner.scan([leaf], [of_leaf(leaf)], Deadline(guard.limits.deadline_s))
    findings = {h.finding for h in seen} | {f for f in _bare(done) if f.recognizer in (AGAIN, REST)}
    rows = []
    for f in sorted(findings, key=lambda f: (f.start, -f.score, f.entity)):
        if (f.start, f.end, f.entity, f.recognizer) in kept:
            fate = guard.policy.action(f.entity, destination).verb
        elif not guard.policy.counts(f):
            fate = "below the threshold"
        elif any(_is_rest(piece, f) for piece in done.findings):
            verb = guard.policy.action(f.entity, destination).verb
            fate = f"another finding covers a part of it; the rest: {verb}"
        else:
            fate = "another finding covers it"
        rows.append(
            {
                "start": f.start,
                "end": f.end,
                "entity": f.entity,
                "score": round(f.score, 2),
                "recognizer": f.recognizer,
                "view": f.view,
                "fate": fate,
                **({"value": given[f.start : f.end]} if reveal else {}),
            }
        )
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo("nothing found")
    for row in rows:
        value = f"  {row['value']!r}" if reveal else ""
        click.echo(
            f"{row['start']:>5}-{row['end']:<5} {row['entity']:<24} {row['score']:.2f}  "
            f"{row['recognizer']} ({row['view']}): {row['fate']}{value}"
        )


def _text(text: str | None) -> str:
    if text is not None and text != "-":
        return text
    if text is None and sys.stdin.isatty():
        raise click.UsageError("give TEXT, or - for standard input")
    return sys.stdin.read()


def _body(messages: list[str]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": m} for m in messages]}


def _bare(done: Inspection) -> list[Any]:

    return [f._replace(path=()) for f in done.findings]


def _report(done: Inspection, text: str, reveal: bool) -> dict[str, Any]:
    findings = []
    for f, action in zip(done.findings, done.verdict.actions, strict=True):
        row: dict[str, Any] = {
            "start": f.start,
            "end": f.end,
            "entity": f.entity,
            "score": round(f.score, 3),
            "recognizer": f.recognizer,
            "view": f.view,
            "action": action.verb,
        }
        if reveal:
            row["value"] = text[f.start : f.end]
        findings.append(row)
    verdict = done.verdict
    sent = verdict.action < Action.LOCAL or verdict.destination.side == "local"
    return {
        "verdict": verdict.action.verb,
        "destination": verdict.destination.name,
        "side": verdict.destination.side,
        "policy": verdict.policy,
        "findings": findings,
        "outgoing": done.body["messages"][0]["content"] if sent else None,
    }


def _print(done: Inspection, text: str, reveal: bool) -> None:
    report = _report(done, text, reveal)
    click.echo(f"verdict: {report['verdict']} at {report['destination']} ({report['side']})")
    for row in report["findings"]:
        value = f"  {row['value']!r}" if reveal else ""
        click.echo(
            f"{row['start']:>5}-{row['end']:<5} {row['entity']:<24} {row['score']:.2f}  "
            f"{row['action']:<12} {row['recognizer']} ({row['view']}){value}"
        )
    if report["outgoing"] is None:
        click.echo("nothing leaves")
    else:
        click.echo(f"outgoing: {report['outgoing']}")


def _is_rest(piece: Finding, whole: Finding) -> bool:
    """Whether ``piece`` is what another finding left of ``whole``."""
    same = (piece.entity, piece.recognizer) == (whole.entity, whole.recognizer)
    return same and whole.start <= piece.start and piece.end <= whole.end


def _bulk(guard: Guard, to: Destination, source: Path, target: Path) -> None:
    """Line by line; ``target`` appears when it is whole."""
    try:
        packed = source.read_bytes()
        raw = gzip.decompress(packed) if source.suffix == ".gz" else packed
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError as e:
        raise ConfigError(f"{source}: not UTF-8 at byte {e.start}") from None
    except (OSError, EOFError, zlib.error) as e:
        raise ConfigError(f"{source}: {getattr(e, 'strerror', None) or 'no gzip'}") from None
    part = target.with_name(target.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as out:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    _bulk_line(guard, to, source, number, line, out)
                if number % 200 == 0 and sys.stderr.isatty():
                    click.echo(f"\r{number}/{len(lines)}", nl=False, err=True)
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _bulk_line(
    guard: Guard, to: Destination, source: Path, number: int, line: str, out: TextIO
) -> None:
    try:
        record = json.loads(line)
        messages = record["msgs"] if "msgs" in record else [record["text"]]
        name = record["id"]
        if not all(isinstance(m, str) for m in messages):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f'{source}: line {number} is no {{"id", "text"}} or {{"id", "msgs"}}'
        ) from None
    # Half a surrogate pair cannot be sent, but it can be measured: one character for another.
    messages = [_HALF.sub("\ufffd", m) for m in messages]
    row: dict[str, Any] = {"id": name}
    try:
        done = guard.inspect(_body(messages), to=to, shape="openai.chat")
    except SovereignError as e:
        row |= {"spans": [], "error": e.code}
    else:
        spans: list[list[Any]] = []
        for f, action in zip(done.findings, done.verdict.actions, strict=True):
            where = [f.path[1]] if "msgs" in record else []
            acted = action is not Action.ALLOW
            spans.append([f.start, f.end, f.entity, round(f.score, 3), *where, acted])
        row["spans"] = spans
    out.write(json.dumps(row, ensure_ascii=False) + "\n")
