"""``sovereign tune``: list, copy, check and run recipes. Torch is imported only by ``run``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.tune_export import export_command
from sovereign.cli.tune_passport import (
    forget_command,
    key_command,
    key_of,
    prove_command,
    verify_command,
)
from sovereign.errors import ConfigError, SovereignError, TuneError

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.tune.prepare import Prepared
    from sovereign.tune.recipe import Recipe
    from sovereign.tune.train import Update

__all__ = ["tune_command"]

EVERY_S = 5.0  # between plain lines, where stderr is no terminal

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("sovereign.toml"),
    show_default=True,
    help="Where [weights] and [audit] are.",
)
STORE = click.option("--store", type=click.Path(path_type=Path), help="A store's folder.")


@click.group("tune", short_help="Fine-tune on private records with LoRA.")
def tune_command() -> None:
    """Fine-tune on private records with LoRA.

    A RECIPE is a path to a .toml, or the name of a shipped one: `sovereign tune ls`.
    """


for _command in (export_command, key_command, verify_command, prove_command, forget_command):
    tune_command.add_command(_command)


@tune_command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def ls_command(as_json: bool) -> None:
    """List the recipes that ship with the toolkit."""
    from sovereign.tune.recipe import find_recipe, load_recipe, names

    loaded = {name: load_recipe(find_recipe(name)) for name in names()}
    if as_json:
        rows = [{"name": n, "model": r.model, "summary": r.summary} for n, r in loaded.items()]
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, loaded), default=0)
    for name, recipe in loaded.items():
        click.echo(f"{name:<{width}}  {recipe.summary}")


@tune_command.command("cp")
@click.argument("recipe")
@click.argument("dest", type=click.Path(path_type=Path), default=Path())
def cp_command(recipe: str, dest: Path) -> None:
    """Copy RECIPE and its data into folder DEST, to change them there."""
    from sovereign.tune.recipe import find_recipe, load_recipe

    source = find_recipe(recipe)
    loaded = load_recipe(source)
    files = [Path(source.name), loaded.data.train]
    files += [loaded.data.eval] if loaded.data.eval else []
    for file in files:
        if file.is_absolute() or ".." in file.parts:
            raise TuneError(f"{source}: {file} lies outside the recipe's folder")
        if (dest / file).exists():
            raise TuneError(f"{dest / file} is there already", hint="choose another DEST")
    for file in files:
        (dest / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / file, dest / file)
        click.echo(str(dest / file))


@tune_command.command("check")
@click.argument("recipe")
@click.argument("override", nargs=-1)
@click.option("--memory", help="What there is, such as 24GB; this machine's otherwise.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@STORE
@CONFIG
def check_command(
    recipe: str,
    override: tuple[str, ...],
    memory: str | None,
    as_json: bool,
    store: Path | None,
    config: Path,
) -> None:
    """Read RECIPE and its rows, look for personal data, and count the memory. Loads no model.

    OVERRIDE is key=value, such as train.batch=1. Exit status 1 if it does not fit.
    """
    from sovereign.tune.preflight import Knobs, fitting, need
    from sovereign.tune.recipe import find_recipe, load_recipe
    from sovereign.weights.dims import parse_memory

    loaded = load_recipe(find_recipe(recipe), override)
    prepared = _prepared(loaded, config, store)
    counts, found = prepared.counts, prepared.found
    rows = {"train": len(prepared.train), "held_out": counts["held_out"]}
    dims = _dims(loaded, config, store)
    if loaded.train.max_length > dims.context:
        raise TuneError(
            f"train.max_length {loaded.train.max_length} is over the model's {dims.context} tokens"
        )
    there = parse_memory(memory) if memory else _free_memory()
    counted = need(dims, Knobs.of(loaded))
    turns = fitting(dims, Knobs.of(loaded), there)
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
        click.echo(f"  {'at most':<15} {counted.total / 1e9:7.2f} GB of {there / 1e9:.2f} GB")
    if counted.total > there:
        hint = "a smaller model, or more memory: no knob of this recipe is enough"
        if turns:
            hint = f"{' '.join(turns[0])} needs {turns[1].total / 1e9:.1f} GB"
        raise TuneError(f"{loaded.name} does not fit into {there / 1e9:.1f} GB", hint=hint)


@tune_command.command("run")
@click.argument("recipe")
@click.argument("override", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="A folder; runs/NAME otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print the record of the run.")
@STORE
@CONFIG
def run_command(
    recipe: str,
    override: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    store: Path | None,
    config: Path,
) -> None:
    """Fine-tune as RECIPE says. OVERRIDE is key=value, such as train.steps=20.

    Writes DIR/adapter with its passport, DIR/report.html, DIR/metrics.jsonl, DIR/run.json and
    DIR/roll.json. Opens no network connection.
    """
    from sovereign.cli.weights import store_of
    from sovereign.tune.gate import Gate
    from sovereign.tune.recipe import find_recipe, load_recipe
    from sovereign.tune.run import run

    loaded = load_recipe(find_recipe(recipe), override)
    target = out or Path("runs") / loaded.name
    # Of a distributed run, one process writes to the log.
    first = os.environ.get("RANK", "0") == "0"
    with store_of(config, store, recorded=first, source="tune") as there, _Bar() as bar:
        key = key_of(config, store)
        gate = Gate.from_config(_configured(config, store), key.private_bytes_raw())
        made = run(loaded, there, target, progress=bar, sink=there.sink, key=key, gate=gate)
    if not first:
        return
    if as_json:
        click.echo(made.encode().decode())
        return
    training = made.data["training"]
    folder = target / ("model" if made.is_model else "adapter")
    click.echo(
        f"{folder}  {made.digest[:12]}  {training['steps']} steps in "
        f"{training['seconds']:.0f} s, loss {training['loss_first']:.3f} to "
        f"{training['loss_last']:.3f}"
    )
    if made.after is not None:
        was = f"{made.before:.0%} before, " if made.before is not None else ""
        rows = made.data["evaluation"]["after"]["rows"]
        click.echo(f"exact answers on {rows} held-out rows: {was}{made.after:.0%} after")


def _configured(config: Path, store: Path | None) -> Config | None:
    """The configuration, unless a store was named by its folder."""
    from sovereign.config import load_config

    return load_config(config) if store is None else None


def _prepared(recipe: Recipe, config: Path, store: Path | None) -> Prepared:
    """The rows as a run would take them; `check` needs no configuration."""
    from sovereign.tune.gate import Gate
    from sovereign.tune.offline import offline
    from sovereign.tune.prepare import prepare

    there = _configured(config, store) if config.exists() else None
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


class _Bar:
    """A :data:`sovereign.tune.train.Progress` on stderr: a bar on a terminal, or plain lines."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._last = 0.0
        self._phase = ""

    def __call__(self, update: Update) -> None:
        if self._tty:
            self._draw(update)
            return
        now = time.monotonic()
        if update.phase != self._phase or now - self._last >= EVERY_S:
            self._phase, self._last = update.phase, now
            print(f"{update.phase}: {update.done}/{update.total}{_facts(update)}", file=sys.stderr)

    def _draw(self, update: Update) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description:<15}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                console=Console(file=sys.stderr),
            )
            self._bar.start()
        if update.phase not in self._tasks:
            self._tasks[update.phase] = self._bar.add_task(
                update.phase, total=update.total, facts=""
            )
        self._bar.update(
            self._tasks[update.phase], completed=update.done, facts=_facts(update).strip(", ")
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _facts(update: Update) -> str:
    if update.loss is None:
        return ""
    said = f", loss {update.loss:.3f}"
    if update.eval_loss is not None:
        said += f" (held out {update.eval_loss:.3f})"
    if update.memory is not None:
        said += f", {update.memory / 1e9:.1f} GB"
    return f"{said}, {update.tokens_per_s:.0f} tokens/s, {update.left_s:.0f} s left"
