"""`sovereign audit publish` and `check-tiles`: the log as static files, in a folder or a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli import evidence
from sovereign.cli.options import config_option

if TYPE_CHECKING:
    from sovereign.audit.shelf import Shelf

__all__ = ["PUBLISHING"]


def _bucket(command: Any) -> Any:
    """The options that an s3:// place needs."""
    for option in (
        click.option(
            "--secret-key-env",
            default="AWS_SECRET_ACCESS_KEY",
            show_default=True,
            help="The variable with its secret.",
        ),
        click.option(
            "--access-key-env",
            default="AWS_ACCESS_KEY_ID",
            show_default=True,
            help="The variable with the object store's key.",
        ),
        click.option(
            "--region", default="us-east-1", show_default=True, help="Of the object store."
        ),
        click.option("--endpoint", help="The object store's URL; needed for s3://BUCKET/PREFIX."),
    ):
        command = option(command)
    return command


@click.command("publish")
@click.argument("into")
@config_option
@evidence._path
@evidence._key
@_bucket
def publish_command(
    into: str,
    config: Path,
    path: Path | None,
    key: str | None,
    endpoint: str | None,
    region: str,
    access_key_env: str,
    secret_key_env: str,
) -> None:
    """Write the log as static files into a folder or an s3:// bucket: tiles, records, checkpoint.

    Only what is new is written. Any web server or object store can serve them, and whoever has
    them and the key can verify everything (c2sp.org/tlog-tiles). That somebody published is itself
    recorded, where the log is writable.
    """
    from sovereign.audit.publish import publish_chain
    from sovereign.cli.audit import _record_reading

    shelf = _shelf(into, endpoint, region, access_key_env, secret_key_env)
    folder, verifier = evidence._log(config, path, key)
    done = publish_chain(folder, verifier, shelf)
    if path is None:  # afterwards: a record more would be under a checkpoint without cosignatures
        _record_reading(config, "publish")
    new = done.after - done.before
    click.echo(f"{into}: {done.after} records, {new} of them new; {done.files} files written")


@click.command("check-tiles")
@click.argument("place")
@evidence._needed_key
@evidence._old
@evidence._witnesses
@_bucket
def check_tiles_command(
    place: str,
    key: str,
    checkpoints: tuple[Path, ...],
    witnesses: tuple[str, ...],
    endpoint: str | None,
    region: str,
    access_key_env: str,
    secret_key_env: str,
) -> None:
    """Recompute a published log, tile by tile and record by record; say which is wrong."""
    from sovereign.audit.cosign import cosignatures
    from sovereign.audit.history import signed_by
    from sovereign.audit.note import Verifier, open_checkpoint
    from sovereign.audit.published import check_chain
    from sovereign.errors import LogTampered

    if not place.startswith("s3://") and not Path(place).is_dir():
        raise click.BadParameter(f"Folder {place!r} does not exist.", param_hint="'PLACE'")
    verifier, keys = Verifier.parse(key), evidence._witness_keys(witnesses)
    notes = [evidence._text(file) for file in checkpoints]
    old = [open_checkpoint(note, signed_by(note, verifier)) for note in notes]
    shelf = _shelf(place, endpoint, region, access_key_env, secret_key_env)
    found = check_chain(shelf, verifier, old)
    problems = [
        problem if number == 1 else f"log {number}: {problem}"
        for number, checked in found
        for problem in checked.problems
    ]
    for problem in problems[1:]:
        click.echo(f"also: {problem}", err=True)
    newest = found[-1][1]
    if problems or newest.checkpoint is None:
        raise LogTampered(problems[0], hint="keep this copy as it is: it is evidence")
    cosigned = cosignatures(newest.note, keys)
    evidence._require(keys, cosigned)
    records = sum(checked.records for _, checked in found)
    click.echo(f"{records} records, root {newest.checkpoint.root.hex()}")
    evidence._say_cosigned(cosigned)
    click.echo("ok: every tile and record is what was signed")


def _shelf(
    place: str, endpoint: str | None, region: str, access_key_env: str, secret_key_env: str
) -> Shelf:
    import os

    from sovereign.audit.s3 import Bucket
    from sovereign.audit.shelf import FolderShelf
    from sovereign.errors import ConfigError

    if not place.startswith("s3://"):
        return FolderShelf(Path(place))
    if endpoint is None:
        raise click.UsageError("s3:// needs --endpoint: nothing is looked up")
    for name in (access_key_env, secret_key_env):
        if not os.environ.get(name):
            raise ConfigError(f"{name} is not set", hint="it holds a key of the object store")
    return Bucket(
        place, endpoint, os.environ[access_key_env], os.environ[secret_key_env], region
    ).open()


PUBLISHING = (publish_command, check_tiles_command)
