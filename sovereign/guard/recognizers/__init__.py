"""Builds the list of recognisers that the configuration names. Installed is not enabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sovereign.types import Recognizer

if TYPE_CHECKING:
    from sovereign.config import GuardConfig

__all__ = ["from_config"]


def from_config(settings: GuardConfig) -> list[Recognizer]:
    """The recognisers of ``[guard]``. Raises :class:`ConfigError` or :class:`MissingExtra`."""
    return []
