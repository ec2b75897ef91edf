"""``sovereign audit receipt``: is what an answer said about itself in the log?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sovereign.cli.options import config_option

__all__ = ["receipt_command"]


@click.command("receipt")
@click.argument("receipt", metavar="FILE|HEADER")
@config_option
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="The log's folder, or a copy of it; no configuration is read then.",
)
@click.option("--key", help="The log's verifier key, from `sovereign audit key`.")
@click.option(
    "--proof",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A proof of the record, from `sovereign audit prove`: no log is needed then, but --key.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def receipt_command(
    receipt: str,
    config: Path,
    path: Path | None,
    key: str | None,
    proof: Path | None,
    as_json: bool,
) -> None:
    """Check the receipt of an answer: FILE that holds it, or the HEADER's value itself.

    Every answer of the gateway has one in x-sovereign-receipt. This finds its record, proves that
    the record is under a signed checkpoint, and compares the two.
    """
    from sovereign.audit.history import logs, signed_by
    from sovereign.audit.note import Verifier
    from sovereign.audit.proof import Proof, prove
    from sovereign.audit.receipt import RequestReceipt
    from sovereign.audit.stored import open_stored
    from sovereign.cli.evidence import _log
    from sovereign.errors import AuditError, ConfigError

    said = RequestReceipt.parse(_text(receipt))
    if proof is not None:
        if key is None:
            raise ConfigError("--proof needs --key", hint="`sovereign audit key` prints it")
        given = Proof.parse(_text(str(proof)))
        checked = given.check(signed_by(given.note, Verifier.parse(key)))
    else:
        folder, verifier = _log(config, path, key)
        past = next((p for p in logs(folder, verifier) if p.verifier.name == said.origin), None)
        if past is None or past.deleted:
            raise AuditError(
                f"the log {said.origin} is not here", hint="give its proof with --proof"
            )
        with open_stored(past.folder, past.verifier) as stored:
            checked = prove(stored, said.index).check(past.verifier)
    said.check(checked.record, checked.index, checked.checkpoint.origin)
    record: dict[str, Any] = json.loads(checked.record)
    if as_json:
        size = checked.checkpoint.size
        click.echo(json.dumps({"ok": True, "index": said.index, "size": size, "record": record}))
        return
    for name in ("type", "time", "request", "team", "endpoint", "model", "destination", "verdict"):
        if name in record:
            click.echo(f"{name:<12} {record[name]}")
    for name in ("policy", "guard_build", "body_sha256"):
        if name in record:
            click.echo(f"{name:<12} {record[name]}")
    click.echo(
        f"ok: record {said.index} of {said.origin}, "
        f"under the checkpoint of {checked.checkpoint.size} records"
    )


def _text(receipt: str) -> str:
    """What the argument names, or is."""
    if "=" in receipt:
        return receipt
    from sovereign.errors import ConfigError

    try:
        return Path(receipt).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{receipt[:80]}: cannot be read", hint="a file, or the value of x-sovereign-receipt"
        ) from None
