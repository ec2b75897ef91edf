"""`sovereign audit prove`, `consistency`, `witness` and what checks them: for outsiders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.options import config_option

if TYPE_CHECKING:
    from sovereign.audit.cosign import Cosignature, WitnessKey
    from sovereign.audit.note import Checkpoint, Verifier

__all__ = ["EVIDENCE"]

_path = click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="The log's folder, or a copy of it; no configuration is read then.",
)
_key = click.option("--key", help="The log's verifier key, from `sovereign audit key`.")
_needed_key = click.option(
    "--key", required=True, help="The log's verifier key, from `sovereign audit key`."
)
_witnesses = click.option(
    "--witness", "witnesses", multiple=True, help="A witness's key: its cosignature must be there."
)
_old = click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint kept elsewhere: the log must begin with what it signed.",
)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_out = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.")


@click.command("prove")
@click.argument("number")
@config_option
@_path
@_key
@_out
def prove_command(
    number: str, config: Path, path: Path | None, key: str | None, out: Path | None
) -> None:
    """Write a proof that record NUMBER is in the log, checkable without the log.

    After a rotation, a record is named with its log: 2/4711; without one, the newest is meant.
    The proof holds the record, its inclusion proof and a signed checkpoint (c2sp.org/tlog-proof).
    That somebody took it is itself recorded, where the log is writable.
    """
    from sovereign.audit.durable import write_whole
    from sovereign.audit.history import find, parse_place
    from sovereign.audit.proof import prove
    from sovereign.audit.stored import open_stored
    from sovereign.cli.audit import _record_reading

    try:
        log, index = parse_place(number)
    except ValueError as e:
        raise click.UsageError(str(e)) from None
    if path is None:
        _record_reading(config, "prove")
    folder, verifier = _log(config, path, key)
    past = find(folder, verifier, log)
    verifier = past.verifier
    with open_stored(past.folder, verifier) as stored:
        proof = prove(stored, index)
    out = out or Path(f"{number.replace('/', '-')}.tlog-proof")
    write_whole(out, str(proof).encode())
    click.echo(f"wrote {out}")
    click.echo(f"check it with: sovereign audit check-proof {out} --key {verifier}")


@click.command("check-proof")
@click.argument("file", type=_file)
@_needed_key
@_witnesses
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check_proof_command(file: Path, key: str, witnesses: tuple[str, ...], as_json: bool) -> None:
    """Check a proof that `prove` wrote, and print the record. Needs no log and no configuration."""
    import json

    from sovereign.audit.history import signed_by
    from sovereign.audit.note import Verifier
    from sovereign.audit.proof import Proof

    keys, proof = _witness_keys(witnesses), Proof.parse(_text(file))
    checked = proof.check(signed_by(proof.note, Verifier.parse(key)), keys)
    _require(keys, checked.cosigned)
    record = checked.record.decode("utf-8", "replace")
    if as_json:
        said: dict[str, Any] = {
            "ok": True,
            "index": checked.index,
            "record": json.loads(checked.record),
            "origin": checked.checkpoint.origin,
            "size": checked.checkpoint.size,
            "cosigned": [{"witness": c.witness, "seconds": c.seconds} for c in checked.cosigned],
        }
        click.echo(json.dumps(said, indent=2))
        return
    click.echo(record)
    click.echo(
        f"ok: record {checked.index} of {checked.checkpoint.origin}, "
        f"under the checkpoint of {checked.checkpoint.size} records"
    )
    _say_cosigned(checked.cosigned)


@click.command("consistency")
@click.argument("old", type=_file)
@config_option
@_path
@_key
@_out
def consistency_command(
    old: Path, config: Path, path: Path | None, key: str | None, out: Path | None
) -> None:
    """Prove that the log still begins with what the checkpoint OLD signed.

    With --out, write the proof: whoever has OLD and the key can check it (check-consistency), and
    a witness takes it as it is (c2sp.org/tlog-witness, add-checkpoint).
    """
    from sovereign.audit.durable import write_whole
    from sovereign.audit.history import logs, signed_by
    from sovereign.audit.note import open_checkpoint
    from sovereign.audit.proof import prove_extension
    from sovereign.audit.stored import open_stored
    from sovereign.errors import AuditError

    folder, first = _log(config, path, key)
    verifier = signed_by(_text(old), first)
    before = open_checkpoint(_text(old), verifier)
    past = next((p for p in logs(folder, first) if p.verifier == verifier), None)
    if past is None:
        raise AuditError(f"{before.origin} is not here")
    with open_stored(past.folder, verifier) as stored:
        extension = prove_extension(stored, before)
    if out is not None:
        write_whole(out, str(extension).encode())
        click.echo(f"wrote {out}")
    _say_extends(before, open_checkpoint(extension.note, verifier))


@click.command("check-consistency")
@click.argument("file", type=_file)
@click.option("--old", required=True, type=_file, help="The checkpoint that was kept.")
@_needed_key
def check_consistency_command(file: Path, old: Path, key: str) -> None:
    """Check a proof that `consistency` wrote. Needs no log and no configuration."""
    from sovereign.audit.history import signed_by
    from sovereign.audit.note import Verifier, open_checkpoint
    from sovereign.audit.proof import Extension

    verifier = signed_by(_text(old), Verifier.parse(key))
    before = open_checkpoint(_text(old), verifier)
    _say_extends(before, Extension.parse(_text(file)).check(before, verifier))


@click.command("witness")
@click.option(
    "--state",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Its key, and what it cosigned last of each log.",
)
@click.option("--name", required=True, help="Its name: a host and path without a scheme.")
@click.option("--log", "logs", multiple=True, help="The verifier key of a log to watch.")
@click.option("--listen", help="HOST:PORT to answer add-checkpoint on (c2sp.org/tlog-witness).")
@click.option(
    "--once",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Cosign what is published in this folder, print the line, and end.",
)
def witness_command(
    state: Path, name: str, logs: tuple[str, ...], listen: str | None, once: Path | None
) -> None:
    """Watch other machines' logs: cosign what only grew, refuse what was rolled back or rewritten.

    Run it where the log's owner cannot write. Without --listen or --once it prints its key.
    """
    from sovereign.audit.note import Verifier
    from sovereign.audit.shelf import FolderShelf
    from sovereign.audit.witness import extension_from_tiles, open_witness, server
    from sovereign.errors import LogTampered

    if listen is not None and once is not None:
        raise click.UsageError("either --listen or --once")
    verifiers = [Verifier.parse(log) for log in logs]
    if (listen or once) and not verifiers:
        raise click.UsageError("--log names no log to watch")
    try:
        witness, cosigner = open_witness(state, name=name, logs=verifiers)
    except ValueError as e:
        raise click.UsageError(f"--name: {e}") from None
    if once is not None:
        (verifier,) = verifiers[:1]
        extension = extension_from_tiles(FolderShelf(once), verifier, witness.latest(verifier.name))
        answer = witness.add_checkpoint(str(extension).encode())
        if answer.status != 200:
            raise LogTampered(f"not cosigned ({answer.status}): {answer.body.strip()}")
        click.echo(answer.body, nl=False)
    elif listen is not None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise click.UsageError("--listen is HOST:PORT")
        with server(witness, host.strip("[]"), int(port)) as serving:
            click.echo(f"key {cosigner.public}")
            click.echo(f"listening on http://{host}:{serving.server_port}")
            serving.serve_forever()
    else:
        click.echo(str(cosigner.public))


@click.command("witness-ask")
@click.argument("url")
@click.option("--witness", required=True, help="The witness's key, as it printed it.")
@config_option
@_path
@_key
def witness_ask_command(
    url: str, witness: str, config: Path, path: Path | None, key: str | None
) -> None:
    """Have a witness cosign the newest checkpoint; proofs and published tiles then carry it."""
    from sovereign.audit.ask import ask
    from sovereign.audit.cosign import WitnessKey
    from sovereign.audit.history import find
    from sovereign.audit.store.folders import folder_of
    from sovereign.audit.stored import open_stored
    from sovereign.config import load_config

    past = find(*_log(config, path, key), None)
    chain = path
    if chain is None:
        # Of a log in a database, `past` is a copy; what the sequencer is held to is not.
        loaded = load_config(config)
        chain = loaded.resolve(loaded.audit.path)
    anchor = folder_of(chain, past.number)
    anchor.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_stored(past.folder, past.verifier) as stored:
        size, cosigned = ask(stored, anchor, url, WitnessKey.parse(witness))
    click.echo(f"{size} records")
    _say_cosigned([cosigned])


def _log(config: Path, path: Path | None, key: str | None) -> tuple[Path, Verifier]:
    """The log's folder, and the key that what is written is checked with before it is written."""
    from sovereign.audit.note import Verifier
    from sovereign.cli.audit import _configured
    from sovereign.errors import AuditError

    folder = path
    if folder is None:
        folder, known = _configured(config)
        key = key or known
    if key is None:
        try:
            key = (folder / "log.pub").read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise AuditError(f"{folder} holds no log.pub", hint="give --key") from None
    return folder, Verifier.parse(key)


def _text(file: Path) -> str:
    from sovereign.errors import LogTampered

    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise LogTampered(f"{file} is not text") from None


def _witness_keys(witnesses: tuple[str, ...]) -> list[WitnessKey]:
    from sovereign.audit.cosign import WitnessKey

    return [WitnessKey.parse(one) for one in witnesses]


def _require(keys: list[WitnessKey], cosigned: Any) -> None:
    from sovereign.errors import LogTampered

    for key in keys:
        if key.name not in {c.witness for c in cosigned}:
            raise LogTampered(f"the checkpoint is not cosigned by {key.name}")


def _say_cosigned(cosigned: Any) -> None:
    from datetime import UTC, datetime

    c: Cosignature
    for c in cosigned:
        try:
            when = datetime.fromtimestamp(c.seconds, UTC).isoformat().replace("+00:00", "Z")
        except (ValueError, OverflowError):
            when = f"second {c.seconds}"
        click.echo(f"cosigned by {c.witness} at {when}")


def _say_extends(old: Checkpoint, new: Checkpoint) -> None:
    click.echo(f"ok: the log of {new.size} records begins with the {old.size} that were signed")


EVIDENCE = (
    prove_command,
    check_proof_command,
    consistency_command,
    check_consistency_command,
    witness_command,
    witness_ask_command,
)
