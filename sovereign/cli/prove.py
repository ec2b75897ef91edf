"""``sovereign prove``: a team tests its own deployment from outside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sovereign.prove.report import Result
    from sovereign.prove.suites import Suite

__all__ = ["prove_command"]


@click.command("prove", short_help="Prove a deployment from outside: does anything leak?")
@click.option("--base", required=True, help="The gateway's URL, without /v1.")
@click.option("--key-env", help="The environment variable that holds a key of the gateway.")
@click.option(
    "--listen",
    default="127.0.0.1:8765",
    show_default=True,
    help="Where the recording stand-in listens: the gateway's hosted upstream must point there.",
)
@click.option("--model", default="prove", show_default=True, help="A model of that upstream.")
@click.option("--anthropic-model", help="A model of it on the Anthropic wire.")
@click.option(
    "--corpus",
    "places",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Probes of your own: a .jsonl file or a folder of them; repeatable.",
)
@click.option(
    "--suites/--no-suites", default=True, help="Run canarywire and pii-leak-benchmark too."
)
@click.option("--one-way", is_flag=True, help="The policy masks: values need not come back.")
@click.option("--wait", default=0.0, help="Seconds to wait for the gateway to reach the recorder.")
@click.option("--seed", type=int, help="Repeat a run with the same values.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it for machines.",
)
def prove_command(
    base: str,
    key_env: str | None,
    listen: str,
    model: str,
    anthropic_model: str | None,
    places: tuple[Path, ...],
    suites: bool,
    one_way: bool,
    wait: float,
    seed: int | None,
    html: Path | None,
    json_file: Path | None,
) -> None:
    """Prove a deployment from outside: does anything leak?

    Plays the hosted side, sends made-up identifiers through every surface in every disguise, and
    reads what arrived. Point the gateway's hosted upstream at --listen before.

    Exit status: 0 nothing leaked, 1 something did or a public suite failed, 2 the run proves
    nothing.
    """
    import datetime
    import json
    import secrets
    import tempfile

    from sovereign import __version__
    from sovereign.prove.corpus import BUILT_IN, load
    from sovereign.prove.recorder import Place, recorder
    from sovereign.prove.report import GOOD, NOTHING, Result, page, verdict
    from sovereign.prove.run import Target, prove
    from sovereign.prove.seen import Recording
    from sovereign.prove.suites import CANARYWIRE_MODEL, SUITES

    models = {"model": model, **({"claude": anthropic_model} if anthropic_model else {})}
    target = Target(base.rstrip("/"), _key(key_env), models)
    probes = load(BUILT_IN, *places)
    place = Place(listen)
    seed = secrets.randbelow(2**31) if seed is None else seed
    click.echo(f"recording at {place.url}; the gateway's sovereign.toml needs:", err=True)
    click.echo(_snippet(place.url, model, anthropic_model, CANARYWIRE_MODEL), err=True)
    with tempfile.TemporaryDirectory(prefix="sovereign-prove-") as folder:
        record = Path(folder) / "received.jsonl"
        with recorder(place, record):
            proof = prove(
                probes,
                target,
                place.url,
                Recording(record),
                seed=seed,
                wait_s=wait,
                tell=_progress,
            )
    ran: list[Suite] = []
    if suites and proof.outcomes:
        from sovereign.prove.suites import run_suite

        for name in SUITES:
            click.echo(f"running {name} …", err=True)
            ran.append(run_suite(name, target, place, one_way=one_way))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    not_run = () if suites else ("the public suites: --no-suites",)
    result = Result(target.base, seed, __version__, now, proof, ran, not_run)
    _say(result)  # before the files: a place that cannot be written must not hide the verdict
    if json_file is not None:
        json_file.write_text(json.dumps(result.data(), indent=1) + "\n", encoding="utf-8")
    if html is not None:
        html.write_text(page(result), encoding="utf-8")
    word = verdict(result)
    if word != GOOD:
        sys.exit(2 if word == NOTHING else 1)


def _key(name: str | None) -> str | None:
    import os

    from sovereign.errors import ConfigError

    if name is None:
        return None
    key = os.environ.get(name)
    if not key:
        raise ConfigError(f"the variable {name} is not set", hint="export it before")
    return key


def _snippet(url: str, model: str, anthropic: str | None, theirs: str) -> str:
    lines = [
        "  [upstream.prove]",
        '  side = "hosted"',
        f'  base_url = "{url}/v1"',
        f'  models = ["{model}", "{theirs}"]',
    ]
    if anthropic:
        lines += [
            "  [upstream.prove-anthropic]",
            '  side = "hosted"',
            '  wire = "anthropic"',
            f'  base_url = "{url}"',
            f'  models = ["{anthropic}"]',
        ]
    return "\n".join(lines)


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {of} probes", nl=done == of, err=True)


def _say(result: Result) -> None:
    from sovereign.prove.report import verdict
    from sovereign.prove.run import HELD, INSIDE, LEAKED, REFUSED, UNCLEAR

    proof = result.proof
    counts = [f"{proof.count(w)} {w}" for w in (LEAKED, HELD, REFUSED, INSIDE, UNCLEAR)]
    click.echo(f"{verdict(result)}: {len(proof.outcomes)} probes, {', '.join(counts)}")
    for outcome in proof.outcomes:
        if outcome.what in (LEAKED, UNCLEAR):
            click.echo(f"  {outcome.what}: {outcome.group}/{outcome.probe}")
    for name in proof.blind:
        click.echo(f"  cannot be judged: {name}")
    for problem in proof.problems:
        click.echo(f"  {problem}")
    if not proof.outcomes:
        click.echo(
            "  hint: --base is the gateway's URL, --key-env holds a key of it, and its hosted "
            "upstream is the recorder, as shown above"
        )
    words = {True: "passed", False: "failed", None: "not run"}
    for suite in result.suites:
        click.echo(f"{suite.name} {suite.version}: {words[suite.passed]}; {suite.says}")
    click.echo("not tested:")
    for line in result.untested():
        click.echo(f"  {line}")
    click.echo(f"seed {result.seed} repeats this run")
