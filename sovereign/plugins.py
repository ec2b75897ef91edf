"""Plugins: entry points by group and name. Installed is not enabled: only named ones load."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from sovereign.errors import ConfigError

__all__ = ["GROUPS", "load", "names"]

GROUPS = (
    "sovereign.recognizers",
    "sovereign.engines",
    "sovereign.sinks",
    "sovereign.readers",
)


def names(group: str) -> list[str]:
    """The names that installed distributions offer in ``group``; nothing is imported."""
    return sorted({e.name for e in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The object that ``name`` stands for in ``group``.

    Raises :class:`ConfigError` if nobody offers it, or if two distributions do: then which one
    guards the door would depend on the order of ``sys.path``.
    """
    found = list(entry_points(group=group, name=name))
    if not found:
        there = ", ".join(names(group)) or "none"
        raise ConfigError(f"no plugin {name!r} in {group}", hint=f"installed: {there}")
    if len(found) > 1:
        dists = ", ".join(sorted(e.dist.name for e in found if e.dist is not None))
        raise ConfigError(
            f"plugin {name!r} in {group} is offered by several packages: {dists}",
            hint="uninstall all but one",
        )
    return found[0].load()
