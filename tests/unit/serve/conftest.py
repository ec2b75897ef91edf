"""The engine that the supervisor's tests play with."""

from __future__ import annotations

import pytest
from played_engine import Fake

from sovereign.serve import engines


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake("serves")
    monkeypatch.setitem(engines._BUILT_IN, "fake", made)
    return made
