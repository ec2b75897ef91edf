"""Recipes are found in a checkout and in a wheel, and each one says how to use it."""

from __future__ import annotations

import tomllib

import pytest

from sovereign import recipes
from sovereign.errors import ConfigError


@pytest.mark.parametrize("kind", ["models", "tune", "serve", "policies", "scenarios"])
def test_every_shipped_recipe_is_toml_and_its_header_holds_a_command(kind: str) -> None:
    """A recipe is documentation that runs: its head says with which command."""
    assert recipes.names(kind)
    for name in recipes.names(kind):
        text = recipes.find(kind, name).read_text(encoding="utf-8")
        tomllib.loads(text)
        head = text.split("\n\n")[0].splitlines()
        assert all(line.startswith("#") for line in head if line), name
        comment = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        assert "sovereign " in comment or "[policy]" in comment, name


def test_a_name_that_is_not_there_lists_those_that_are() -> None:
    """So that nobody has to look the folder up."""
    with pytest.raises(ConfigError, match="'hippa' is none of the policies that ship") as caught:
        recipes.find("policies", "hippa")
    assert "hipaa" in caught.value.hint
