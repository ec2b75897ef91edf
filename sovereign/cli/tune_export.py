"""``sovereign tune export``: an adapter and its base as one model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from sovereign.cli.tune_check import CONFIG, STORE
from sovereign.cli.tune_passport import TRUST, key_of, keys_of

if TYPE_CHECKING:
    from sovereign.tune.export import Dtype

__all__ = ["export_command"]


@click.command("export")
@click.argument("adapter", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option(
    "--dtype",
    type=click.Choice(["bfloat16", "float32"]),
    default="bfloat16",
    show_default=True,
    help="Of what is written; merged in float32 in any case.",
)
@click.option("--gguf", type=click.Path(path_type=Path), help="Write this file for llama.cpp too.")
@click.option(
    "--converter", type=click.Path(path_type=Path), help="llama.cpp's convert_hf_to_gguf.py."
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@STORE
@TRUST
@CONFIG
def export_command(
    adapter: Path,
    dest: Path,
    dtype: str,
    gguf: Path | None,
    converter: Path | None,
    as_json: bool,
    store: Path | None,
    trust: tuple[Path, ...],
    config: Path,
) -> None:
    """Merge ADAPTER, a folder, into its base and write safetensors into the folder DEST.

    For engines that serve no adapters. What was written is read back, and refused if its logits
    are not the adapter's. Signed papers in DEST name base and adapter. Opens no network connection.
    """
    from sovereign.cli.weights import store_of
    from sovereign.errors import TuneError
    from sovereign.tune.export import export
    from sovereign.tune.gguf import HINT, write

    if gguf is not None and converter is None:  # said before minutes of merging
        raise TuneError("--gguf needs llama.cpp's converter", hint=HINT)
    key = key_of(config, store)
    keys = (key.public_key(),) if store is not None and not trust else keys_of(config, trust)
    with store_of(config, store, recorded=True, source="tune") as there:
        kind = cast("Dtype", dtype)
        made = export(adapter, there, dest, dtype=kind, key=key, trust=keys)
    off = None if gguf is None else write(dest, gguf, converter, dtype=dtype)
    if as_json:
        said = made.record() | ({"gguf_off": round(off, 6)} if off is not None else {})
        click.echo(json.dumps(said, indent=2))
        return
    click.echo(
        f"{dest}  {dtype}, logits {made.cast_off:.3g} away from the adapter's, which moves them by "
        f"{made.moved:.3g}; same likeliest token at {made.agreement:.0%} of the probe"
    )
    if off is not None:
        click.echo(f"{gguf}  read back: logits {off:.3g} away from the folder's")
