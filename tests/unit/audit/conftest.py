"""One log of some days' requests, to be read only; and a log behind its sequencer."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import traffic
from sequenced import KEY, ORIGIN, pid_of, wait_until

from sovereign.audit.place import Place
from sovereign.audit.starting import Starter


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed log of four days and some 150 records. Copy it before you change it."""
    folder = tmp_path_factory.mktemp("busy") / "log"
    traffic.grow(folder, days=4, per_day=20)
    return folder


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    key = tmp_path / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    made = Starter(Place(tmp_path / "log"), key_file=key, origin=ORIGIN, linger=20.0)
    yield made
    try:
        os.kill(pid_of(made), signal.SIGCONT)
        os.kill(pid_of(made), signal.SIGTERM)
    except (OSError, ValueError):
        return
    wait_until(lambda: not made.answers())
