"""The guard as a newcomer runs it: all recognisers, the policy of direct identifiers."""

from __future__ import annotations

import pytest

from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy


@pytest.fixture(scope="session")
def guard() -> Guard:
    """Real recognisers, loaded once."""
    return Guard(load_policy(preset="direct"), build(), key=b"k" * 32)
