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

from sovereign.cli.tune_check import CONFIG, STORE, check_command, configured
from sovereign.cli.tune_export import export_command
from sovereign.cli.tune_passport import (
    forget_command,
    key_command,
    key_of,
    prove_command,
    verify_command,
)
from sovereign.errors import TuneError

if TYPE_CHECKING:
    from sovereign.tune.train import Update

__all__ = ["tune_command"]

EVERY_S = 5.0  # between plain lines, where stderr is no terminal


@click.group("tune", short_help="Fine-tune on private records with LoRA.")
def tune_command() -> None:
    """Fine-tune on private records with LoRA.

    A RECIPE is a path to a .toml, or the name of a shipped one: `sovereign tune ls`.
    """


for _command in (
    check_command,
    export_command,
    key_command,
    verify_command,
    prove_command,
    forget_command,
):
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
        gate = Gate.from_config(configured(config, store), key.private_bytes_raw())
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
