"""`sovereign audit prove`, `publish`, `witness` and what checks them: evidence for outsiders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sovereign.audit.cosign import Cosignature, WitnessKey
    from sovereign.audit.note import Checkpoint, Verifier

__all__ = ["EVIDENCE"]

_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("sovereign.toml"),
    show_default=True,
)
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
@click.argument("number", type=click.IntRange(0))
@_config
@_path
@_key
@_out
def prove_command(
    number: int, config: Path, path: Path | None, key: str | None, out: Path | None
) -> None:
    """Write a proof that record NUMBER is in the log, checkable without the log.

    It holds the record, its inclusion proof and a signed checkpoint (c2sp.org/tlog-proof).
    """
    from sovereign.audit.durable import write_whole
    from sovereign.audit.proof import prove
    from sovereign.audit.stored import open_stored

    folder, verifier = _log(config, path, key)
    with open_stored(folder, verifier) as stored:
        proof = prove(stored, number)
    out = out or Path(f"{number}.tlog-proof")
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

    from sovereign.audit.note import Verifier
    from sovereign.audit.proof import Proof

    keys = _witness_keys(witnesses)
    checked = Proof.parse(_text(file)).check(Verifier.parse(key), keys)
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
@_config
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
    from sovereign.audit.note import open_checkpoint
    from sovereign.audit.proof import prove_extension
    from sovereign.audit.stored import open_stored

    folder, verifier = _log(config, path, key)
    before = open_checkpoint(_text(old), verifier)
    with open_stored(folder, verifier) as stored:
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
    from sovereign.audit.note import Verifier, open_checkpoint
    from sovereign.audit.proof import Extension

    verifier = Verifier.parse(key)
    before = open_checkpoint(_text(old), verifier)
    _say_extends(before, Extension.parse(_text(file)).check(before, verifier))


@click.command("publish")
@click.argument("into", type=click.Path(file_okay=False, path_type=Path))
@_config
@_path
@_key
def publish_command(into: Path, config: Path, path: Path | None, key: str | None) -> None:
    """Write the log as static files into a folder: tiles, records, checkpoint.

    Only what is new is written. Any web server or object store can serve them, and whoever has
    them and the key can verify everything (c2sp.org/tlog-tiles).
    """
    from sovereign.audit.publish import publish
    from sovereign.audit.stored import open_stored

    folder, verifier = _log(config, path, key)
    with open_stored(folder, verifier) as stored:
        done = publish(stored, into)
    new = done.after - done.before
    click.echo(f"{into}: {done.after} records, {new} of them new; {done.files} files written")


@click.command("check-tiles")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_needed_key
@_old
@_witnesses
def check_tiles_command(
    folder: Path, key: str, checkpoints: tuple[Path, ...], witnesses: tuple[str, ...]
) -> None:
    """Recompute a published log, tile by tile and record by record; say which is wrong."""
    from sovereign.audit.cosign import cosignatures
    from sovereign.audit.note import Verifier, open_checkpoint
    from sovereign.audit.tiles import check
    from sovereign.audit.tiles import folder as files
    from sovereign.errors import LogTampered

    verifier, keys = Verifier.parse(key), _witness_keys(witnesses)
    old = [open_checkpoint(_text(file), verifier) for file in checkpoints]
    found = check(files(folder), verifier, old)
    for problem in found.problems[1:]:
        click.echo(f"also: {problem}", err=True)
    if found.checkpoint is None or not found.ok:
        raise LogTampered(found.problems[0], hint="keep this copy as it is: it is evidence")
    cosigned = cosignatures(found.note, keys)
    _require(keys, cosigned)
    click.echo(f"{found.records} records, root {found.checkpoint.root.hex()}")
    _say_cosigned(cosigned)
    click.echo("ok: every tile and record is what was signed")


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
        extension = extension_from_tiles(once, verifier, witness.latest(verifier.name))
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
@_config
@_path
@_key
def witness_ask_command(
    url: str, witness: str, config: Path, path: Path | None, key: str | None
) -> None:
    """Have a witness cosign the newest checkpoint; proofs and published tiles then carry it."""
    from sovereign.audit.ask import ask
    from sovereign.audit.cosign import WitnessKey
    from sovereign.audit.stored import open_stored

    folder, verifier = _log(config, path, key)
    with open_stored(folder, verifier) as stored:
        size, cosigned = ask(stored, folder, url, WitnessKey.parse(witness))
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
    publish_command,
    check_tiles_command,
    witness_command,
    witness_ask_command,
)
