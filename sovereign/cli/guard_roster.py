"""``sovereign guard roster``: indexes of the persons and numbers that a team knows already."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sovereign.cli.guarded import CONFIG, configured
from sovereign.errors import ConfigError

__all__ = ["roster_group"]


@click.group("roster")
def roster_group() -> None:
    """Find known persons and numbers exactly, by keyed hashes."""


@roster_group.command("build")
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--columns",
    "spec",
    required=True,
    help='Such as "name,mrn,phone", "who=PERSON" or "first+last=PERSON".',
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The index to write.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="Random bytes that key the hashes. [default: guard.roster_key_file, else guard.key_file]",
)
@click.option("--config", default=CONFIG, show_default=True, help="The configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def build_command(
    table: Path, spec: str, out: Path, key_file: Path | None, config: str, as_json: bool
) -> None:
    """Write an index of the CSV file TABLE.

    The index holds keyed hashes, no clear value. Name it in sovereign.toml: [guard] roster = [...].
    """
    from sovereign.cli.progress import Bytes
    from sovereign.guard.recognizers.roster import read_key
    from sovereign.guard.recognizers.roster_build import build, columns

    if key_file is None:
        loaded = configured(config)
        if loaded is None:
            raise ConfigError(
                f"no {config}, and no --key-file",
                hint="`sovereign init` makes both; the guard needs the same key",
            )
        key_file = loaded.resolve(loaded.guard.roster_key_file or loaded.guard.key_file)
    key = read_key(key_file)
    wanted = columns(spec)
    with Bytes() as progress:
        built = build(table, wanted, out, key, progress=progress)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "rows": built.rows,
                    "entries": built.entries,
                    "bytes": built.size,
                    "values": dict(built.values),
                    "skipped": dict(built.skipped),
                }
            )
        )
        return
    click.echo(f"{out}: {built.entries} entries of {built.rows} rows, {built.size / 1e6:.1f} MB")
    for column, count in sorted(built.skipped.items()):
        click.echo(
            f"{column}: {count} values left out: one word, under six characters, or without a digit"
        )
    click.echo(f'next: [guard] roster = ["{out}"] in {config}')
