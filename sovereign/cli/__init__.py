"""The command line. Each verb group is a module that is imported only when it is used.

An error is one line on stderr, in lower case, with a ``hint:`` line when there is something to do.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from sovereign import __version__
from sovereign.errors import MissingExtra, SovereignError

__all__ = ["fail", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("setup", "Write a commented sovereign.toml and the keys it names."),
    "check": ("setup", "Say what happens to each kind of data at each destination."),
    "doctor": ("doctor", "Say what is installed, and what would reach the network."),
    "weights": ("weights", "Import, pull, list and verify open weights."),
    "tune": ("tune", "Fine-tune on private records with LoRA."),
    "serve": ("serve", "Run a model from the store behind an OpenAI wire."),
    "guard": ("guard", "Inspect text as the gateway would."),
    "scan": ("scan", "Find personal data in files and folders, and what of it left."),
    "keys": ("keys", "Create, list, rotate and revoke API keys of the gateway."),
    "gateway": ("gateway", "Open the door: one base URL for hosted and local models."),
    "prove": ("prove", "Prove a deployment from outside: does anything leak?"),
    "audit": ("audit", "Verify, show and follow the audit log."),
}
"""Verb to (module of this package, one-line help). The help stands here so that
``sovereign --help`` imports none of them; a test holds it equal to each command's own."""


EXTRAS = {
    **{name: name for name in ("weights", "tune", "serve", "guard", "gateway")},
    "scan": "guard",
    "prove": "gateway",
}
"""Verb to the extra that brings what it needs; for the others, all of them do."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"sovereign.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"sovereign {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `sovereign init`, or see it all at once: scripts/demo",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version.",
)
def cli() -> None:
    """Open models on your own data and machines, and proof that nothing sensitive left."""


def fail(error: SovereignError) -> None:
    """Print ``error`` as one line, and its hint as another, on stderr."""
    click.echo(f"error: {error.message}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def main(argv: list[str] | None = None) -> Any:
    """The console script. Exit status: 0 done, 1 failed with an error line, 2 wrong usage."""
    try:
        cli.main(args=argv, prog_name="sovereign", standalone_mode=False)
    except SovereignError as e:
        fail(e)
        sys.exit(1)
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message(), err=True)
        sys.exit(e.exit_code)
    except click.ClickException as e:
        click.echo(f"error: {' '.join(e.format_message().split())}", err=True)
        if isinstance(e, click.UsageError) and e.ctx is not None:
            click.echo(f"hint: {e.ctx.command_path} --help", err=True)
        sys.exit(e.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except ModuleNotFoundError as e:
        missing = (e.name or "").partition(".")[0]
        if missing in ("", "sovereign"):
            raise
        verb = (sys.argv[1:] if argv is None else argv)[0]
        fail(MissingExtra(missing, EXTRAS.get(verb, "all")))
        sys.exit(1)
    except OSError as e:  # a folder that is not there, or that is somebody else's; a full disk
        if not e.strerror:
            raise
        fail(SovereignError(f"{e.filename}: {e.strerror}" if e.filename else e.strerror))
        sys.exit(1)
