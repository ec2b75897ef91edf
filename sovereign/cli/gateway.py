"""``sovereign gateway``: open the door."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["gateway_command"]


@click.command(
    "gateway",
    short_help="Open the door: one base URL for hosted and local models.",
)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default="sovereign.toml",
    show_default=True,
    help="The configuration.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Listen here instead; 0 takes a free port."
)
@click.option("--workers", type=click.IntRange(1, 256), help="Run so many processes instead.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the base URLs here, as JSON, once requests are taken.",
)
def gateway_command(
    path: Path, port: int | None, workers: int | None, ready_file: Path | None
) -> None:
    """Open the door: one base URL for hosted and local models.

    Every request is read, decided on by the policy, and recorded before it is sent. Stop it with
    SIGTERM: /readyz says no, then it takes no new requests and lets running ones end. SIGHUP has it
    read the policy file again, as it does when that changes.
    """
    from sovereign.config import load_config
    from sovereign.gateway.server import run

    run(load_config(path), port=port, workers=workers, ready_file=ready_file, say=click.echo)
