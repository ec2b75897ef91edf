"""What the commands of ``sovereign guard`` share: their options, and the guard that they ask."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.config import Config, GuardConfig, load_config
from sovereign.errors import ConfigError
from sovereign.types import Destination

if TYPE_CHECKING:
    from sovereign.guard import Guard

__all__ = ["CONFIG", "configured", "guard_options", "open_guard"]

CONFIG = "sovereign.toml"


def guard_options(command: Any) -> Any:
    """``--to --policy --ner --config --json``."""
    for option in (
        click.option("--to", "to", help="The destination, by its name in sovereign.toml."),
        click.option("--policy", help="A preset or a policy file, instead of the configured one."),
        click.option("--ner", help='Who finds names: "spacy:PACKAGE", "tagger" or "none".'),
        click.option("--config", default=CONFIG, show_default=True, help="The configuration."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        command = option(command)
    return command


def configured(config: str) -> Config | None:
    """The configuration, or ``None`` if nobody named one and there is none."""
    path = Path(config)
    return load_config(path) if path.exists() or config != CONFIG else None


def open_guard(
    config: str, policy: str | None, ner: str | None, to: str | None
) -> tuple[Guard, Destination]:
    """The configured guard; or, without a configuration, the preset with a key for this run."""
    from sovereign.guard import Guard, Limits
    from sovereign.guard.recognizers import from_config
    from sovereign.policy import load_policy, presets

    loaded = configured(config)
    if loaded is None and policy is None:
        raise ConfigError(
            f"{config}: no such file, and no --policy",
            hint=f"--policy with one of: {', '.join(presets())}; or `sovereign init`",
        )
    settings = loaded.guard if loaded is not None else GuardConfig()
    if ner is not None:
        settings = settings.model_copy(update={"ner": ner})
    if loaded is not None and policy is None and ner is None:
        guard = Guard.from_config(loaded)
    else:
        if policy is None:
            assert loaded is not None
            file = loaded.policy.file
            chosen = load_policy(
                preset=loaded.policy.preset, file=None if file is None else loaded.resolve(file)
            )
        elif policy in presets():
            chosen = load_policy(preset=policy)
        else:
            chosen = load_policy(file=Path(policy))
        limits = Limits(deadline_s=settings.deadline_s)
        folder = Path() if loaded is None else loaded.resolve(Path())
        found = from_config(settings, folder=folder, policy=chosen)
        guard = Guard(chosen, found, key=secrets.token_bytes(32), limits=limits)
    return guard, _destination(to, [] if loaded is None else loaded.destinations())


def _destination(name: str | None, known: list[Destination]) -> Destination:
    if name is None:
        return known[0] if known else Destination("hosted", "hosted")
    for destination in known:
        if destination.name == name:
            return destination
    if not known and name in ("hosted", "local"):
        return Destination(name, "local" if name == "local" else "hosted")
    there = ", ".join(d.name for d in known) or "hosted, local"
    raise ConfigError(f"no destination named {name!r}", hint=f"there are: {there}")
