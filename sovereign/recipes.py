"""Finds the recipes that ship with the toolkit: in the wheel, or in the checkout beside it."""

from __future__ import annotations

import difflib
from pathlib import Path

from sovereign.errors import ConfigError

__all__ = ["find", "names", "root"]


def root() -> Path:
    """The folder that holds ``models/ tune/ serve/ policies/ scenarios/ deploy/``."""
    here = Path(__file__).resolve().parent
    installed = here / "_recipes"
    return installed if installed.is_dir() else here.parent / "recipes"


def names(kind: str) -> list[str]:
    """The recipes of one kind, sorted: the stems of its TOML files, with sub-folders as ``a/b``."""
    folder = root() / kind
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.toml"))


def find(kind: str, name: str) -> Path:
    """The file of a shipped recipe. :class:`ConfigError` names the ones there are."""
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"{name!r} is none of the {kind} that ship",
            hint=(f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(known)}",
        )
    return root() / kind / f"{name}.toml"
