"""``sovereign tune check``: what a recipe would train on, and whether it fits. Imports no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.errors import ConfigError, SovereignError, TuneError

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.tune.machine import Plan
    from sovereign.tune.preflight import Need
    from sovereign.tune.prepare import Prepared
    from sovereign.tune.recipe import Recipe

__all__ = ["CONFIG", "STORE", "check_command", "configured"]

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("sovereign.toml"),
    show_default=True,
    help="Where [weights], [audit] and [tune] are.",
)
STORE = click.option("--store", type=click.Path(path_type=Path), help="A store's folder.")


@click.command("check")
@click.argument("recipe")
@click.argument("override", nargs=-1)
@click.option("--memory", help="What there is, such as 24GB; this machine's otherwise.")
@click.option(
    "--machine",
    help="A machine that is described in a .toml, or a shipped one such as a100x8: what each of "
    "its GPUs would hold, and whether it can run this.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@STORE
@CONFIG
def check_command(
    recipe: str,
    override: tuple[str, ...],
    memory: str | None,
    machine: str | None,
    as_json: bool,
    store: Path | None,
    config: Path,
) -> None:
    """Read RECIPE and its rows, look for personal data, and count the memory. Loads no model.

    OVERRIDE is key=value, such as train.batch=1. Exit status 1 if it does not fit.
    """
    from sovereign.tune.machine import find_machine, plan
    from sovereign.tune.preflight import Knobs, fitting, need
    from sovereign.tune.recipe import find_recipe, load_recipe
    from sovereign.tune.servable import disk, hold_disk, served_by
    from sovereign.weights.dims import parse_memory

    if memory and machine:
        raise click.UsageError("give --memory or --machine")
    described = find_machine(machine) if machine else None
    loaded = load_recipe(find_recipe(recipe), override)
    prepared = _prepared(loaded, config, store)
    counts, found = prepared.counts, prepared.found
    rows = {"train": len(prepared.train), "held_out": counts["held_out"]}
    dims = _dims(loaded, config, store)
    if loaded.train.max_length > dims.context:
        raise TuneError(
            f"train.max_length {loaded.train.max_length} is over the model's {dims.context} tokens"
        )
    planned = None if described is None else plan(loaded, dims, described, (recipe, *override))
    if planned is not None:
        there, counted, turns = planned.memory, planned.each, planned.turns
    else:
        there = parse_memory(memory) if memory else _free_memory()
        counted = need(dims, Knobs.of(loaded))
        turns = fitting(dims, Knobs.of(loaded), there)
    written, served = disk(counted.trainable, loaded), served_by(loaded)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "recipe": loaded.name,
                    "model": loaded.model,
                    "parameters": dims.parameters,
                    "trainable": counted.trainable,
                    "rows": rows | counts,
                    "private": {"action": loaded.private.action, "entities": found.entities},
                    "bytes": {name: round(size) for name, size in counted.parts()},
                    "total": round(counted.total),
                    "memory": round(there),
                    "fits": counted.total <= there,
                    "turn": turns[0] if turns else None,
                    "disk": written,
                    "served_by": served,
                    **({} if planned is None else planned.record()),
                },
                indent=2,
            )
        )
    else:
        click.echo(f"{counts['read']} rows read, {rows['train']} to train on{_left_out(counts)}")
        held = ", ".join(f"{name} {count}" for name, count in found.entities.items())
        click.echo(f"personal data: {held or 'none found'} ({loaded.private.action})")
        billions = f"{dims.parameters / 1e9:.2f} billion parameters"
        click.echo(f"{loaded.model}: {billions}, {counted.trainable / 1e6:.1f} million to train")
        for name, size in counted.parts():
            click.echo(f"  {name:<15} {size / 1e9:7.2f} GB")
        each = f" on each of {planned.world} GPUs" if planned and planned.world > 1 else ""
        total = f"{counted.total / 1e9:7.2f} GB of {there / 1e9:.2f} GB{each}"
        click.echo(f"  {'at most':<15} {total}")
        click.echo(f"disk: at most {written / 1e9:.2f} GB")
        click.echo("served by: " + "; ".join(f"{name} {how}" for name, how in served.items()))
    if planned is not None:
        _launchable(loaded, planned, quiet=as_json)
    if counted.total > there:
        _too_large(loaded, there, turns)
    if not memory and not machine:
        hold_disk(Path("runs"), written)


def _launchable(recipe: Recipe, planned: Plan, *, quiet: bool) -> None:
    """Say how it is started. Raises :class:`TuneError` where the machine cannot run it."""
    if planned.faults:
        says = [fault.says for fault in planned.faults]
        hints = [fault.hint for fault in planned.faults if fault.hint]
        if planned.turns is None:
            hints.append("no knob of this recipe is enough")
        elif planned.turns[0]:
            needed = planned.turns[1].total / 1e9
            hints.append(f"{' '.join(planned.turns[0])} needs {needed:.1f} GB")
        raise TuneError(f"{recipe.name} cannot run there: {'; '.join(says)}", hint="; ".join(hints))
    if planned.fits and not quiet:
        for line in planned.launch:
            click.echo(f"start it with: {line}")


def _too_large(recipe: Recipe, there: float, turns: tuple[list[str], Need] | None) -> None:
    hint = "a smaller model, or more memory: no knob of this recipe is enough"
    if turns:
        hint = f"{' '.join(turns[0])} needs {turns[1].total / 1e9:.1f} GB"
    raise TuneError(f"{recipe.name} does not fit into {there / 1e9:.1f} GB", hint=hint)


def configured(config: Path, store: Path | None) -> Config | None:
    """The configuration, unless a store was named by its folder."""
    from sovereign.config import load_config

    return load_config(config) if store is None else None


def _prepared(recipe: Recipe, config: Path, store: Path | None) -> Prepared:
    """The rows as a run would take them; `check` needs no configuration."""
    from sovereign.tune.gate import Gate
    from sovereign.tune.offline import offline
    from sovereign.tune.prepare import prepare

    there = configured(config, store) if config.exists() else None
    # Stand-ins are made and thrown away here, so any secret does.
    with offline():
        return prepare(recipe, Gate.from_config(there, os.urandom(32)))


def _left_out(counts: dict[str, int]) -> str:
    names = {
        "duplicates": "duplicates",
        "near_duplicates": "near duplicates",
        "private_dropped": "dropped for personal data",
        "held_out": "held out",
    }
    said = [f"{counts[k]} {name}" for k, name in names.items() if counts.get(k)]
    return f" ({', '.join(said)})" if said else ""


def _dims(recipe: Recipe, config: Path, store: Path | None) -> Any:
    """From the store's config.json if the weights are there, or else from recipes/models."""
    from sovereign.cli.weights import store_of
    from sovereign.weights.dims import dims_of, model_card

    try:
        with store_of(config, store, recorded=False, source="tune") as there:
            folder = there.folder(there.entry(recipe.model))
        return dims_of(json.loads((folder / "config.json").read_bytes()))
    except (SovereignError, OSError, ValueError):
        return model_card(recipe.model).dims


def _free_memory() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    raise ConfigError("how much memory there is cannot be read here", hint="say --memory 24GB")
