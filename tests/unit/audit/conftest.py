"""One log of some days' requests, for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest
import traffic


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed log of four days and some 150 records. Copy it before you change it."""
    folder = tmp_path_factory.mktemp("busy") / "log"
    traffic.grow(folder, days=4, per_day=20)
    return folder
