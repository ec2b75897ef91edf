"""``sovereign keys``: who may come through the door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.gateway.keys import Key, KeyRing

__all__ = ["keys_command"]

F = TypeVar("F", bound=Callable[..., Any])


def _config(function: F) -> F:
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        default="sovereign.toml",
        show_default=True,
        help="The configuration.",
    )(function)


def _json(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(function)


@click.group("keys", short_help="Create, list and revoke API keys of the gateway.")
def keys_command() -> None:
    """Create, list and revoke API keys of the gateway.

    The file holds hashes only. A running gateway sees a change at the next request.
    """


@keys_command.command("create")
@click.option("--team", required=True, help="Whose key it is; in every audit record.")
@click.option(
    "--models", default="", help="Only these models or patterns, with commas: 'gpt-4o,llama-*'."
)
@_json
@_config
def create(team: str, models: str, as_json: bool, path: Path) -> None:
    """Create a key and print it, once."""
    config, ring = _open(path)
    new = ring.prepare(team, [m.strip() for m in models.split(",") if m.strip()])
    # Recorded first: a key that nobody recorded must not open anything.
    _record(config, "key.create", new.key, models=list(new.key.models) or None)
    ring.add(new.key)
    if as_json:
        click.echo(json.dumps({**_shown(new.key), "key": new.secret}))
        return
    click.echo(new.secret)
    click.echo(f"{new.key.id} for team {team}; the key is shown only this once", err=True)


@keys_command.command("list")
@_json
@_config
def list_(as_json: bool, path: Path) -> None:
    """List keys; never their secrets."""
    _, ring = _open(path)
    keys = ring.entries()
    if as_json:
        click.echo(json.dumps([_shown(k) for k in keys]))
        return
    if not keys:
        click.echo("no keys; `sovereign keys create --team NAME` makes one", err=True)
    for key in keys:
        state = f"revoked {key.revoked}" if key.revoked else "live"
        models = ",".join(key.models) or "every model"
        click.echo(f"{key.id}  {key.team:<20} {key.created}  {models}  {state}")


@keys_command.command("revoke")
@click.argument("key_id", metavar="ID")
@_json
@_config
def revoke(key_id: str, as_json: bool, path: Path) -> None:
    """Close a key for good."""
    config, ring = _open(path)
    # Closed first: if the log cannot take the record, the key must be dead all the same.
    key = ring.revoke(key_id)
    _record(config, "key.revoke", key)
    click.echo(json.dumps(_shown(key)) if as_json else f"{key.id} is revoked")


def _open(path: Path) -> tuple[Config, KeyRing]:
    from sovereign.config import load_config
    from sovereign.gateway.keys import KeyRing

    config = load_config(path)
    return config, KeyRing(config.resolve(config.keys.file))


def _record(config: Config, kind: str, key: Key, **fields: Any) -> None:
    from sovereign.audit import record
    from sovereign.audit.log import open_log

    with open_log(config, "keys") as log:
        log.append(record.event(kind, key_id=key.id, team=key.team, **fields))


def _shown(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "team": key.team,
        "models": list(key.models),
        "created": key.created,
        "revoked": key.revoked,
    }
