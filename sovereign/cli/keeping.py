"""`sovereign audit rotate`, `retention`, `hold` and `erase`: what is kept, and what goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sovereign.cli.options import config_option

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = ["KEEPING"]


@click.command("rotate")
@config_option
def rotate_command(config: Path) -> None:
    """End the log now, and begin the next one with its final checkpoint.

    This happens by itself, as [audit].rotate and rotate_records say.
    """
    import secrets
    import time

    from sovereign.audit.log import opened, read_key
    from sovereign.audit.place import Place
    from sovereign.config import load_config

    loaded = load_config(config)
    source = f"audit-rotate-{secrets.token_hex(8)}"
    origin = loaded.audit.origin
    chain = opened(
        Place.of(loaded), key=read_key(loaded), origin=origin, source=source, clock=time.time
    )
    try:
        number = chain.rotate()
    finally:
        chain.close()
    click.echo(f"log {number} has begun")


@click.command("retention")
@config_option
@click.option("--apply", is_flag=True, help="Delete what is due. Without it, only say so.")
def retention_command(config: Path, apply: bool) -> None:
    """Say which ended logs are past their time; with --apply, delete them.

    They are kept for as long as the policy's retain_days, or [audit].retain_days if that is longer,
    after their last record. A legal hold keeps them beyond it. The deletion is recorded, and what
    is left of a log shows that the chain is whole.
    """
    import time

    from sovereign.audit.log import open_log
    from sovereign.audit.place import Place
    from sovereign.audit.record import event
    from sovereign.audit.retention import check_clock, declared, final_proof, standing, survey
    from sovereign.audit.store.folders import FINAL
    from sovereign.cli.evidence import _log
    from sovereign.config import load_config

    loaded = load_config(config)
    place, days = Place.of(loaded), _days(loaded)
    folder, verifier = _log(config, None, None)
    kept = survey(folder, verifier, days, standing(folder, verifier))
    if days is None:
        click.echo("nothing expires: neither the policy nor [audit] has retain_days")
    if not kept:
        then = f"; then each is kept for {days:,} days" if days is not None else ""
        click.echo(f"no log has ended yet ([audit].rotate says when one does){then}")
    for one in kept:
        until = f"kept until {one.expires[:10]}" if one.expires else "kept"
        held = f", held by {', '.join(one.held)}" if one.held else ""
        due = ", due" if one.due(time.time()) else ""
        span = f"{one.began[:10]} to {one.ended[:10]}"
        click.echo(f"log {one.past.number}: {one.size} records, {span}, {until}{held}{due}")
    going = [one for one in kept if one.due(time.time())]
    if not apply:
        if going:
            click.echo("delete what is due with: sovereign audit retention --apply")
        return
    if going:
        check_clock(folder, verifier, time.time())
    for one in going:
        proof = str(final_proof(one))
        with open_log(loaded, "audit-retention", announce=False) as log:
            for earlier in declared(one):
                log.append(event("log.delete", **earlier))
            log.append(
                event(
                    "log.delete",
                    log=one.past.number,
                    size=one.size,
                    root=one.root,
                    until=one.ended,
                    retain_days=days,
                )
            )
        logs = place.logs()
        try:
            logs.drop(one.past.number, proof)
        finally:
            logs.close()
        click.echo(f"deleted the records of log {one.past.number}; {FINAL} is kept")


@click.group("hold")
def hold_command() -> None:
    """Legal holds: what must not be deleted, however old it is."""


@hold_command.command("set")
@click.argument("name")
@click.option("--from", "since", help="From this day or moment (UTC).")
@click.option("--to", "until", help="To the end of this day, or to this moment (UTC).")
@config_option
def hold_set_command(name: str, since: str | None, until: str | None, config: Path) -> None:
    """Keep every log that has records of that time; without a time, all."""
    from sovereign.cli.search import _moment

    start, stop = _moment("--from", since, end=False), _moment("--to", until, end=True)
    _hold(config, name, "set", since=start, until=stop)
    click.echo(f"hold {name} stands")


@hold_command.command("release")
@click.argument("name")
@config_option
def hold_release_command(name: str, config: Path) -> None:
    """Take a hold away. What it kept may be deleted by the next `retention --apply`."""
    from sovereign.audit.retention import standing
    from sovereign.cli.evidence import _log
    from sovereign.errors import AuditError

    there = standing(*_log(config, None, None))
    if name not in there:
        known = ", ".join(there) or "none"
        raise AuditError(f"no hold {name!r} stands", hint=f"there are: {known}")
    _hold(config, name, "release")
    click.echo(f"hold {name} is released")


@hold_command.command("list")
@config_option
def hold_list_command(config: Path) -> None:
    """The holds that stand."""
    from sovereign.audit.retention import standing
    from sovereign.cli.evidence import _log

    holds = standing(*_log(config, None, None))
    if not holds:
        click.echo("no hold stands")
    for name, hold in holds.items():
        until = "…" if hold.until == "~" else hold.until
        click.echo(f"{name}  {hold.since or '…'} to {until}")


@click.command("erase")
@click.option("--value", help="The value; - reads it from stdin. Without it, you are asked.")
@click.option("--reason", default="data_subject_request", show_default=True, help="A word.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The receipt's file.")
@config_option
def erase_command(value: str | None, reason: str, out: Path | None, config: Path) -> None:
    """Destroy the keys of a value, so that nobody can find its records by it any more.

    The records stay, and every proof of them verifies: they never held the value. Do it at each
    machine that has a copy of the token key, and destroy backups of that file. The receipt proves
    that the erasure is in the log; it does not name the value.
    """
    import secrets

    from sovereign.audit.durable import write_whole
    from sovereign.audit.history import find
    from sovereign.audit.log import open_log
    from sovereign.audit.proof import prove
    from sovereign.audit.record import event
    from sovereign.audit.schema import WORD
    from sovereign.audit.stored import open_stored
    from sovereign.audit.tokens import destroy
    from sovereign.cli.evidence import _log
    from sovereign.cli.search import _value
    from sovereign.config import load_config

    if not WORD.fits(reason):
        raise click.UsageError(f"--reason must be {WORD.says}")
    loaded, erasure = load_config(config), f"erase_{secrets.token_hex(8)}"
    wanted = _value(value)
    with open_log(loaded, "audit-erase", announce=False) as log:
        # Opened first: without a log to record it in, nothing is destroyed.
        left, gone = destroy(loaded.resolve(loaded.audit.token_key_file), wanted)
        receipt = log.append(
            event("log.erase", erasure=erasure, token_key=left.id, keys=gone, reason=reason)
        )
    folder, verifier = _log(config, None, None)
    past = find(folder, verifier, receipt.log)
    with open_stored(past.folder, past.verifier) as stored:
        proof = prove(stored, receipt.index)
    out = out or Path(f"{erasure}.tlog-proof")
    write_whole(out, str(proof).encode())
    said = f"{gone} keys destroyed" if gone else "its keys had been destroyed before"
    click.echo(f"{erasure}: {said}; record {receipt}")
    click.echo(f"receipt: {out}; sovereign audit check-proof {out} --key {verifier}")


def _hold(config: Path, name: str, action: str, **when: str | None) -> None:
    from sovereign.audit.log import open_log
    from sovereign.audit.record import event
    from sovereign.audit.schema import ID
    from sovereign.config import load_config

    if not ID.fits(name):
        raise click.UsageError(f"NAME must be {ID.says}")
    with open_log(load_config(config), "audit-hold", announce=False) as log:
        log.append(event("log.hold", name=name, action=action, **when))


def _days(config: Config) -> int | None:
    """How long an ended log is kept: the longest that policy or configuration ask for."""
    from sovereign.policy import load_policy

    file = config.policy.file
    policy = load_policy(
        preset=config.policy.preset, file=None if file is None else config.resolve(file)
    )
    asked = [d for d in (policy.retain_days, config.audit.retain_days) if d is not None]
    return max(asked, default=None)


KEEPING = (rotate_command, retention_command, hold_command, erase_command)
