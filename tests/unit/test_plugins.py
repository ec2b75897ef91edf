"""Plugins load by name, from exactly one distribution."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sovereign import plugins
from sovereign.errors import ConfigError


def distribution(folder: Path, name: str, entry: str) -> None:
    info = folder / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[sovereign.recognizers]\n{entry}\n")


def test_a_named_plugin_is_loaded_and_an_unnamed_one_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed is not enabled: importing a package is running its code."""
    distribution(tmp_path, "good", "good = json:loads\nevil = a_module_that_is_not_there:x")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert {"good", "evil"} <= set(plugins.names("sovereign.recognizers"))
    assert plugins.load("sovereign.recognizers", "good")("[1]") == [1]


def test_a_plugin_that_nobody_or_two_packages_offer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two packages of one name: which one guards the door must not depend on sys.path."""
    distribution(tmp_path / "a", "one", "twin = json:loads")
    distribution(tmp_path / "b", "two", "twin = json:dumps")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b"), *sys.path])
    with pytest.raises(ConfigError, match="several packages: one, two"):
        plugins.load("sovereign.recognizers", "twin")
    with pytest.raises(ConfigError, match="no plugin 'nobody'"):
        plugins.load("sovereign.recognizers", "nobody")
