"""``sovereign serve``: one model in the foreground, without the gateway; and its plan."""

from __future__ import annotations

from pathlib import Path

import click

from sovereign.cli.serve_bench import bench_command
from sovereign.cli.serve_plan import plan_command

__all__ = ["serve_command"]


class _Serve(click.Group):
    """``serve MODEL`` is ``serve run MODEL``: what is no verb is the name of a model."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("serve", cls=_Serve, short_help="Run a model from the store behind an OpenAI wire.")
def serve_command() -> None:
    """Run a model from the store behind an OpenAI wire.

    `sovereign serve MODEL` is `sovereign serve run MODEL`; `plan` says what that takes, and what it
    costs beside hosted APIs; `bench` how fast a running one answers.
    """


serve_command.add_command(plan_command)
serve_command.add_command(bench_command)


@serve_command.command("run")
@click.argument("model", metavar="MODEL[+ADAPTER…]")
@click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="[KEY=]FOLDER",
    help="A folder that `sovereign tune run` wrote; with a KEY it answers to MODEL:KEY.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default="sovereign.toml",
    show_default=True,
    help="Names the weights store, and models.",
)
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    help="Listen at a Unix socket (0600) instead of a port.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8001,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--max-context", type=click.IntRange(min=1), help="Tokens; 2048 unless configured.")
@click.option("--threads", type=click.IntRange(min=0), help="CPU threads; 0 takes what is free.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300,
    show_default=True,
    help="Seconds to load in.",
)
def run_command(
    model: str,
    adapters: tuple[str, ...],
    config_path: Path,
    socket_path: Path | None,
    host: str,
    port: int,
    max_context: int | None,
    threads: int | None,
    timeout: float,
) -> None:
    """Run a model from the store behind an OpenAI wire.

    MODEL is a name in the weights store, or a [models] name of sovereign.toml; each +ADAPTER is
    what --adapter takes. The server answers this machine only and asks for no key: it is for trying
    a model out. Nothing is inspected or logged; `sovereign gateway` does both.
    """
    import contextlib
    import tempfile

    from sovereign.config import ModelConfig, load_config
    from sovereign.errors import ConfigError
    from sovereign.serve.adapter import hexed
    from sovereign.serve.cell import claim
    from sovereign.serve.engines import keyed
    from sovereign.serve.foreground import run
    from sovereign.serve.relay import bind
    from sovereign.serve.supervise import Supervisor, verified
    from sovereign.weights.passport import trusted
    from sovereign.weights.store import open_store

    model, *more = model.split("+")  # which no model's name holds
    config = load_config(config_path)
    configured = config.models.get(model)
    settings = configured or ModelConfig(base=model)
    folders = {key: config.resolve(folder) for key, folder in settings.adapters.items()}
    if settings.adapter is not None:
        folders[""] = config.resolve(settings.adapter)
    folders |= keyed((*more, *adapters))
    for folder in folders.values():
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder", hint="`sovereign tune run` writes one")
    changes = {"max_context": max_context, "threads": threads}
    settings = settings.model_copy(update={k: v for k, v in changes.items() if v is not None})

    # Before the weights are read: a port in use should not cost the load of a model. And before the
    # supervisor, which removes what lies at its socket's path when it ends.
    listener = None
    if socket_path is None:
        listener = bind(host, port)
    else:
        claim(socket_path.absolute())
    with contextlib.ExitStack() as stack:
        if listener is not None:
            stack.enter_context(listener)
        store = open_store(config)
        click.echo(f"verifying {settings.base} …", err=True)
        weights, verify = verified(config, settings, store)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sovereign-")))
        supervisor = Supervisor(
            model,
            settings,
            weights=weights,
            adapters=folders,
            run_dir=folder,
            base_digest=store.entry(settings.base).digest,
            trust=hexed(trusted(config)),
            verify=verify,
            at=socket_path and socket_path.absolute(),
        )
        run(supervisor, listener, timeout=timeout, say=lambda line: click.echo(line, err=True))
