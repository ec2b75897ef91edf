"""The serving recipes are read by the same strict reader as sovereign.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign import recipes
from sovereign.config import load_config


@pytest.mark.parametrize("name", recipes.names("serve"))
def test_a_recipe_appended_to_a_configuration_is_read(name: str, tmp_path: Path) -> None:
    """As its header says to: an unknown key or a bad value would be an error."""
    text = recipes.find("serve", name).read_text(encoding="utf-8")
    file = tmp_path / "sovereign.toml"
    file.write_text(f'[policy]\npreset = "hipaa"\n{text}', encoding="utf-8")
    config = load_config(file)
    assert config.local_names()
    assert all(u.side == "local" for u in config.upstream.values())


@pytest.mark.parametrize("name", recipes.names("serve"))
def test_a_recipe_says_its_commands_and_its_memory(name: str) -> None:
    """Where memory is its reader's business: a remote server's is not."""
    head = recipes.find("serve", name).read_text(encoding="utf-8").split("\n\n")[0]
    assert "#   sovereign gateway" in head
    assert "GB" in head or name.startswith("remote")
