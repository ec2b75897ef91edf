"""`sovereign audit search`: was this value ever in a request, and how is "no" known?"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.options import config_option

if TYPE_CHECKING:
    from sovereign.audit.search import Whole

__all__ = ["search_command"]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{3})?)?Z", re.ASCII)
SHOWN = 50


@click.command("search")
@click.option("--value", help="The value; - reads it from stdin. Without it, you are asked.")
@click.option("--entity", help="What it is, such as US_SSN; goes into the record.")
@click.option("--team", help="Only in this team's requests.")
@click.option("--from", "since", help="From this day or moment (UTC): 2026-01-31 or …T08:00Z.")
@click.option("--to", "until", help="To the end of this day, or to this moment (UTC).")
@config_option
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="A copy of the log's folder. It is only read, and the search is not recorded in it.",
)
@click.option("--json", "as_json", is_flag=True, help="The answer for machines.")
def search_command(
    value: str | None,
    entity: str | None,
    team: str | None,
    since: str | None,
    until: str | None,
    config: Path,
    path: Path | None,
    as_json: bool,
) -> None:
    """Find every decision about a value. The value itself is not in the log, and is not recorded.

    It is found whatever kind a recogniser took it for, but only as far as one found it: what none
    saw has no token. --entity says what you ask about; it does not narrow the search.
    It needs the token key. That somebody asked is recorded before the answer. Exit status 1 if
    nothing was found and "no" cannot be said.
    """
    from sovereign.audit.mirror import local
    from sovereign.audit.note import Signer
    from sovereign.audit.place import Place
    from sovereign.audit.schema import ENTITY
    from sovereign.audit.search import search_chain
    from sovereign.audit.store.folders import newest_folder
    from sovereign.audit.store.sqlite import FILE
    from sovereign.audit.tokens import read_token_key
    from sovereign.config import load_config
    from sovereign.errors import AuditError, ConfigError

    if entity is not None and not ENTITY.fits(entity):
        raise click.UsageError("--entity is a name such as US_SSN")
    start, stop = _moment("--from", since, end=False), _moment("--to", until, end=True)
    wanted = _value(value)
    loaded = load_config(config)
    key = read_token_key(loaded)
    if key is None:
        raise ConfigError(
            f"audit.token_key_file: {loaded.resolve(loaded.audit.token_key_file)} is not there",
            hint="search where the token key is; records made without one cannot be searched",
        )
    from sovereign.audit.log import open_log, read_key

    folder = path or loaded.resolve(loaded.audit.path)
    if path is None:
        if loaded.audit.store is None and not (newest_folder(folder) / FILE).exists():
            raise AuditError(f"audit log: {folder} holds no log")
        from sovereign.audit.record import event

        with open_log(loaded, "audit-search", announce=False) as log:
            log.append(
                event(
                    "log.search",
                    token=key.asked(entity or "", wanted),
                    token_key=key.id,
                    entity=entity,
                    since=start,
                    until=stop,
                )
            )
    verifier = Signer.from_seed(loaded.audit.origin, read_key(loaded)).verifier
    answer = search_chain(
        path or local(Place.of(loaded)),
        verifier,
        key,
        wanted,
        team=team,
        since=start or "",
        until=stop or "~",
        keep=path is None,
    )
    _say(answer, as_json=as_json)
    if not answer.found and not answer.complete:
        raise AuditError(
            f"not found, but that is no no: {_gaps(answer)}",
            hint="tokens are made while [audit].token_key_file is there; see gateway.start records",
        )


def _say(answer: Whole, *, as_json: bool) -> None:
    import json

    if as_json:
        said = {
            "answer": "yes" if answer.found else "no" if answer.complete else "unknown",
            "records": [{"log": p.log, "index": p.index, "record": r} for p, r in answer.found],
            "decisions": answer.total("decisions"),
            "without_tokens": answer.total("blind"),
            "cut": answer.total("cut"),
            "deleted_logs": list(answer.deleted),
            "verified": [
                {"log": number, "size": a.size, "root": a.root.hex()}
                for number, a in answer.answers
            ],
        }
        click.echo(json.dumps(said, indent=2))
        return
    decisions = answer.total("decisions")
    for place, record in answer.found[-SHOWN:]:
        verb = record.get("verdict", "")
        where = record.get("destination", "")
        click.echo(
            f"{place}  {record['time']}  {record['type']}  {record['team']}  "
            f"{record.get('model', '')} → {where} ({record.get('side', '')})  {verb}  "
            f"{record['request']}"
        )
    if len(answer.found) > SHOWN:
        click.echo(f"(the last {SHOWN} of {len(answer.found)}; --json gives all)")
    if answer.found:
        were = "was" if len(answer.found) == 1 else "were"
        click.echo(f"yes: {len(answer.found)} of {decisions} decisions {were} about it")
        click.echo(f"of these requests: {_became([record for _, record in answer.found])}")
        click.echo(f"prove one with: sovereign audit prove {answer.found[-1][0]}")
        if not answer.complete:
            click.echo(f"there may be more: {_gaps(answer)}")
    elif answer.complete:
        click.echo(f"no: none of {decisions} decisions was about it")
        click.echo("a value that no recogniser found has no token, and is not in this answer")
    for number, read in answer.answers:
        which = f"log {number}: " if len(answer.answers) > 1 else ""
        click.echo(f"read whole: {which}{read.size} records, root {read.root.hex()}")


def _became(found: list[dict[str, Any]]) -> str:
    """What became of the requests: "was it sent?" is asked, and "yes" alone would say too much."""
    from collections import Counter

    from sovereign.audit.report.page import OUTCOME_SERIES
    from sovereign.audit.report.tally import outcome

    counts = Counter(map(outcome, found))
    return ", ".join(f"{counts[s.key]} {s.name}" for s in OUTCOME_SERIES if counts[s.key])


def _gaps(answer: Whole) -> str:
    gaps = []
    if blind := answer.total("blind"):
        gaps.append(f"{blind} decisions have no tokens of this key")
    if cut := answer.total("cut"):
        gaps.append(f"{cut} had more values than a record holds")
    if answer.erased:
        gaps.append("the keys of this value were destroyed (see log.erase records)")
    if answer.deleted:
        gaps.append(f"the records of log {', '.join(map(str, answer.deleted))} were deleted")
    return ", ".join(gaps)


def _value(value: str | None) -> str:
    """Never an argument where history or a process list would keep it, unless so asked."""
    if value is None:
        return str(click.prompt("value", hide_input=True))
    if value == "-":
        return sys.stdin.read().rstrip("\n")
    return value


def _moment(option: str, text: str | None, *, end: bool) -> str | None:
    """As records write times, so that they compare as text. A day ends with the next one's
    beginning."""
    from datetime import UTC, datetime, timedelta

    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
            moment += timedelta(days=1) if end else timedelta(0)
        elif _MOMENT.fullmatch(text):
            moment = datetime.fromisoformat(text)
        else:
            raise ValueError
    except (ValueError, OverflowError):
        raise click.UsageError(f"{option} is a day (2026-01-31) or a moment (…T08:00Z)") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
