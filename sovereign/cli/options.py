"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["config_option"]

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("sovereign.toml"),
    show_default=True,
    help="The configuration.",
)
"""``--config``, a path, to commands that need the file."""
