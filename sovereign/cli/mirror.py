"""``sovereign weights mirror`` and ``mirror-token``."""

from __future__ import annotations

from pathlib import Path

import click

from sovereign.cli.weights import store_of, where
from sovereign.errors import MissingExtra, WeightsError

__all__ = ["COMMANDS"]

FILE = click.Path(path_type=Path, dir_okay=False)
TOKENS = Path("mirror-tokens.json")


@click.command("mirror")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    default=8090,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes a free one.",
)
@click.option("--tokens", type=FILE, default=TOKENS, show_default=True, help="Hashed tokens.")
@click.option("--anyone", is_flag=True, help="Ask nobody for a token.")
@click.option("--tls-cert", type=FILE, help="The certificate (PEM), with --tls-key.")
@click.option("--tls-key", type=FILE, help="Its key (PEM).")
@where
def mirror_command(
    host: str,
    port: int,
    tokens: Path,
    anyone: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    config: Path,
    store: Path | None,
) -> None:
    """Serve the verified store to every library that reads HF_ENDPOINT. Read-only."""
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("uvicorn", "serve") from None
    from sovereign.weights.mirror import Mirror, app
    from sovereign.weights.tokens import Tokens

    if (tls_cert is None) != (tls_key is None):
        raise WeightsError("--tls-cert and --tls-key belong together")
    asked = None if anyone else Tokens(tokens)
    with store_of(config, store, recorded=True, source="mirror") as there:
        mirror = Mirror(there, asked, there.sink)
        for repo, commit in sorted(mirror.models):
            click.echo(f"{repo}  {commit}  verified", err=True)
        uvicorn.run(
            app(mirror),
            host=host,
            port=port,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
            log_level="warning",
            server_header=False,
        )


@click.command("mirror-token")
@click.argument("team")
@click.option("--model", "models", multiple=True, help="OWNER/NAME, may hold *; all otherwise.")
@click.option("--tokens", type=FILE, default=TOKENS, show_default=True, help="Hashed tokens.")
def mirror_token_command(team: str, models: tuple[str, ...], tokens: Path) -> None:
    """Make TEAM's access token of the mirror, and print it once. Its former one ends."""
    from sovereign.weights.tokens import make

    click.echo(make(tokens, team, models or ("*",)))


COMMANDS: tuple[click.Command, ...] = (mirror_command, mirror_token_command)
