"""``sovereign serve plan``: memory, GPUs, speed and cost, before anything is bought or loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.errors import ConfigError, SovereignError

if TYPE_CHECKING:
    from sovereign.serve.plan import Fleet

__all__ = ["plan_command"]


@click.command("plan")
@click.argument("model")
@click.option(
    "--users", type=click.IntRange(1), default=8, show_default=True, help="Requests at once."
)
@click.option(
    "--context", default="4k", show_default=True, help="Tokens that each of them may hold: 8k."
)
@click.option("--adapters", type=click.IntRange(0), default=0, help="LoRA adapters beside it.")
@click.option("--rank", type=click.IntRange(1), default=16, show_default=True, help="Theirs.")
@click.option(
    "--precision",
    type=click.Choice(["bf16", "int8", "fp8", "int4"]),
    default="bf16",
    show_default=True,
    help="What the weights are held in.",
)
@click.option("--gpu", "gpus", multiple=True, help="Only this kind, such as H100; repeatable.")
@click.option(
    "--cost",
    "cost_page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with the cost beside hosted APIs, as a plot.",
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path, exists=True),
    help="Your prices; see the shipped ones.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("sovereign.toml"),
    show_default=True,
    help="Names the weights store, if it is there.",
)
def plan_command(
    model: str,
    users: int,
    context: str,
    adapters: int,
    rank: int,
    precision: Any,
    gpus: tuple[str, ...],
    cost_page: Path | None,
    prices: Path | None,
    as_json: bool,
    config: Path,
) -> None:
    """Say what serving MODEL to --users requests at once takes, and what it costs.

    MODEL is a name in the weights store, or one that ships in recipes/models. Nothing is loaded.
    """
    from sovereign.serve import cost, hardware, plan_page
    from sovereign.serve.plan import Assumptions, Load, embedded, fleets

    dims = _dims(model, config)
    load = Load(users, _tokens(context), adapters, rank)
    assumed = Assumptions()
    kinds = [hardware.find(name) for name in gpus] or list(hardware.GPUS.values())
    found = fleets(dims, load, precision, kinds, assumed)
    bf16 = hardware.bfloat16()
    memory = embedded(dims, load, bf16=bf16) if precision == "bf16" else None
    if as_json:
        told = {"embedded_bytes": memory and memory.total, "gpus": [_told(f) for f in found]}
        click.echo(json.dumps({"model": model, "parameters": dims.parameters, **told}, indent=2))
    else:
        what = f"{users} requests at once of up to {load.context:,} tokens"
        click.echo(f"{model}: {dims.parameters:,} parameters, {precision}, {what}\n")
        if memory is not None:
            kind = "float32" if bf16 == "no" else "bfloat16"
            said = plan_page.amount(memory.total)
            click.echo(f"embedded engine on a CPU like this one, in {kind}: {said}")
            click.echo(
                "  " + ", ".join(f"{n} {plan_page.amount(b)}" for n, b in memory.parts() if b)
            )
        _say_fleets(found)
    if cost_page is None:
        if prices is not None:
            raise ConfigError("--prices are for a page of costs", hint="--cost plan.html")
        return
    if not found:
        raise ConfigError("no GPU that is known holds this", hint="a smaller --context")
    read = cost.read_prices(prices)
    mine = cost.own(read, found[0])
    title = f"{model} for {users} requests at once of {load.context:,} tokens"
    html = plan_page.page(title, memory, found, assumed, read, mine)
    cost_page.write_text(html, encoding="utf-8")
    click.echo(
        f"\n{found[0].gpus} × {found[0].gpu.name}: {mine.monthly + mine.fixed:,.0f} "
        f"{read.currency} a month, for up to {plan_page.count(mine.capacity)} tokens"
    )
    for hosted in read.hosted:
        at = cost.break_even(read, hosted, mine)
        from_ = (
            "never cheaper than"
            if at is None
            else f"from {plan_page.count(at)} tokens cheaper than"
        )
        click.echo(f"  {from_} {hosted}")
    click.echo(f"prices as of {read.as_of}: put in your own. {cost_page} has the plot")


def _say_fleets(found: list[Fleet]) -> None:
    from sovereign.serve.plan_page import amount, wait

    if not found:
        click.echo("no GPU that is known holds one such request")
        return
    click.echo("\nGPUs, with vLLM: at best, from data sheets (docs/serve.md says what is assumed)")
    rows = [
        (
            f"{f.gpus} × {f.gpu.name}",
            f"{amount(f.memory.total)} of {amount(f.gpu.memory)}",
            f"{f.writes:,.0f}",
            f"{f.each:,.0f}",
            wait(f.first_s),
        )
        for f in found
    ]
    head = ("", "each holds", "tokens/s", "for each", "first token")
    wide = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            row[0].ljust(wide[0]),
            *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True)),
        ]
        click.echo("  " + "  ".join(cells).rstrip())


def _told(fleet: Fleet) -> dict[str, Any]:
    return {
        "gpu": fleet.gpu.name,
        "gpus": fleet.gpus,
        "replicas": fleet.replicas,
        "bytes_each": round(fleet.memory.total),
        "parts": {name: round(size) for name, size in fleet.memory.parts()},
        "tokens_per_second": round(fleet.writes),
        "tokens_per_second_each": round(fleet.each, 1),
        "prompt_tokens_per_second": round(fleet.reads),
        "first_token_s": round(fleet.first_s, 3),
    }


def _tokens(text: str) -> int:
    found = re.fullmatch(r"(\d{1,9})(k?)", text.strip().lower())
    if not found or not int(found[1]):
        raise ConfigError(f"{text!r} is no number of tokens", hint="such as --context 8k")
    return int(found[1]) * (1024 if found[2] else 1)


def _dims(model: str, config: Path) -> Any:
    """From the store's config.json if the weights are there, or else from recipes/models."""
    from sovereign.cli.weights import store_of
    from sovereign.weights.dims import dims_of, model_card

    try:
        with store_of(config, None, recorded=False, source="plan") as there:
            folder = there.folder(there.entry(model))
        return dims_of(json.loads((folder / "config.json").read_bytes()))
    except (SovereignError, OSError, ValueError):
        return model_card(model).dims
