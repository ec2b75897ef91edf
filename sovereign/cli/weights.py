"""``sovereign weights``: import, pull, convert, list, verify. Changes go to the audit log."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.progress import Bytes
from sovereign.errors import WeightsError

if TYPE_CHECKING:
    from sovereign.weights.store import Entry, Store

__all__ = ["store_of", "weights_command", "where"]


@contextmanager
def store_of(config: Path, root: Path | None, *, recorded: bool, source: str) -> Iterator[Store]:
    """The store of the configuration, or the one at ``root`` with its lockfile inside.

    With ``recorded``, events go to the configured audit log, and fail if they cannot. A store given
    by path has no configuration, so no log either. What a disk refuses is one line and a hint.
    """
    try:
        with _store(config, root, recorded=recorded, source=source) as there:
            yield there
    except BrokenPipeError:  # of who reads what is printed
        raise
    except OSError as e:
        what = f"{e.filename}: {e.strerror}" if e.filename else str(e.strerror or e)
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space, then run this again: it goes on from there" if full else ""
        raise WeightsError(what[:1].lower() + what[1:], hint=hint) from None


@contextmanager
def _store(config: Path, root: Path | None, *, recorded: bool, source: str) -> Iterator[Store]:
    from sovereign.weights.store import Store, open_store

    if root is not None:
        yield Store(root, root / "sovereign.lock")
        return
    from sovereign.config import load_config

    loaded = load_config(config)
    if not recorded:
        yield open_store(loaded)
        return
    from sovereign.audit.log import open_log

    with open_log(loaded, source) as log:
        yield open_store(loaded, log)


def where(command: Any) -> Any:
    for option in (
        click.option("--store", type=click.Path(path_type=Path), help="A store's folder."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            default=Path("sovereign.toml"),
            show_default=True,
            help="Where [weights] and [audit] are.",
        ),
    ):
        command = option(command)
    return command


@click.group("weights", short_help="Import, pull, list and verify open weights.")
def weights_command() -> None:
    """Import, pull, list and verify open weights.

    Without sovereign.toml, name a store by its folder: --store DIR (no audit log then).
    """


@weights_command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What the store will call it.")
@click.option(
    "--licence", default="unknown", show_default=True, help="SPDX id, such as Apache-2.0."
)
@click.option(
    "--dtype",
    type=click.Choice(["bfloat16", "float32"]),
    default="bfloat16",
    show_default=True,
    help="What a GGUF is dequantised to.",
)
@click.option("--replace", is_flag=True, help="Take the name over from other weights.")
@where
def import_command(
    path: Path, name: str, licence: str, dtype: str, replace: bool, config: Path, store: Path | None
) -> None:
    """Import a folder of safetensors, or a GGUF file, at PATH."""
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder")
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        common: dict[str, Any] = {"name": name, "licence": licence, "replace": replace}
        if path.is_dir():
            entry = there.add_folder(path, progress=bar, **common)
        else:
            if not sys.stderr.isatty():
                click.echo(f"converting {path.name} …", err=True)
            entry = there.add_gguf(path, dtype=dtype, progress=bar, **common)
    _say(entry)


@weights_command.command("pull")
@click.argument("repo", metavar="REPO[@REVISION]")
@click.option("--name", help="What the store will call it; the repository's name otherwise.")
@click.option("--licence", help="SPDX id; the model card's otherwise.")
@click.option("--accepted-by", help="Who accepted the terms of a gated repository.")
@click.option("--replace", is_flag=True, help="Take the name over from other weights.")
@where
def pull_command(
    repo: str,
    name: str | None,
    licence: str | None,
    accepted_by: str | None,
    replace: bool,
    config: Path,
    store: Path | None,
) -> None:
    """Download one commit of REPO (OWNER/NAME) from the Hub, or from HF_ENDPOINT.

    REVISION is a commit, a tag or a branch (main, if none is named); it is resolved to a commit
    once, and the lock holds that. A pull that died is resumed by the next.
    """
    repo, _, revision = repo.partition("@")
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        entry = there.pull(
            repo,
            revision=revision or "main",
            name=name,
            licence=licence,
            accepted_by=accepted_by,
            replace=replace,
            progress=bar,
        )
    _say(entry)


@weights_command.command("convert")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What the store will call it.")
@click.option(
    "--licence", default="unknown", show_default=True, help="SPDX id, such as Apache-2.0."
)
@click.option("--replace", is_flag=True, help="Take the name over from other weights.")
@where
def convert_command(
    path: Path, name: str, licence: str, replace: bool, config: Path, store: Path | None
) -> None:
    """Convert torch's pickles (.bin, .pt, .pth, .ckpt) at PATH to safetensors, and import them.

    Only for weights that come no other way. They are opened in a process without network, programs
    or files of yours, as torch's weights_only; without those walls nothing is opened.
    """
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder")
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        entry = there.add_pickle(path, name=name, licence=licence, replace=replace, progress=bar)
    for scan in entry.scans:
        click.echo(f"{scan.scanner} {scan.version}: {scan.verdict}", err=True)
    if not entry.scans:
        click.echo("no scanner looked at it: neither picklescan nor modelscan is here", err=True)
    _say(entry)


@weights_command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@where
def ls_command(as_json: bool, config: Path, store: Path | None) -> None:
    """List what the lockfile knows. Nothing is verified."""
    with store_of(config, store, recorded=False, source="weights") as there:
        entries = there.entries()
    if as_json:
        click.echo(json.dumps([_row(e) for e in entries], indent=2))
        return
    if not entries:
        click.echo("nothing in the store yet", err=True)
    for e in entries:
        click.echo(f"{e.name}  {e.digest[:12]}  {e.size / 1e6:.0f} MB  {e.licence}  {e.kind}")


@weights_command.command("verify")
@click.argument("name", required=False)
@click.option("--key", type=click.Path(path_type=Path), help="Public key of who signed NAME.")
@click.option("--signature", type=click.Path(path_type=Path), help="NAME.sig otherwise.")
@where
def verify_command(
    name: str | None, key: Path | None, signature: Path | None, config: Path, store: Path | None
) -> None:
    """Hash every file of NAME, or of all, and hold it against the lockfile; with --key, hold the
    lockfile against a signature in OpenSSF's model-signing format too."""
    if (key is not None or signature is not None) and (name is None or key is None):
        raise WeightsError("--key and a NAME belong together: a signature is about one model")
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        if name is not None and key is not None:
            from sovereign.weights.signing import check_file

            entry = there.entry(name)
            with there.refusals(name, entry.kind):
                check_file(signature or Path(f"{name}.sig"), entry.files, key)
        for entry in [there.entry(name)] if name else there.entries():
            there.verify(entry.name, progress=bar)
            click.echo(f"{entry.name}  {entry.digest[:12]}  ok")


def _say(entry: Entry) -> None:
    at = f", commit {entry.commit}" if entry.commit else ""
    click.echo(f"{entry.name}  {entry.digest[:12]}  {entry.size / 1e6:.0f} MB, verified{at}")


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "digest": entry.digest,
        "size": entry.size,
        "licence": entry.licence,
        "source": entry.source,
        "commit": entry.commit,
    }


# Here, since both take `where` and `store_of` from this module.
from sovereign.cli import carry, mirror  # noqa: E402

for _command in (*carry.COMMANDS, *mirror.COMMANDS):
    weights_command.add_command(_command)
