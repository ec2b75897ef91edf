"""What every test shares: the real small model, imported once and reused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres import HINT, Cluster, programs

if TYPE_CHECKING:
    from sovereign.weights.store import Store

REPO = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("SOVEREIGN_CACHE", REPO / ".cache"))
GGUF = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"
SHARED = REPO.parent / "shared"

# Set before anything imports torch: two threads under contention collapse on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's shared folder. It is not part of a clone: tests that use it say so."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not here: measured sets and others' vectors are not run")
    return SHARED


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running PostgreSQL server; :func:`database` gives each test a database of its own."""
    if programs() is None:
        if os.environ.get("CI"):
            pytest.fail(HINT)
        pytest.skip(HINT)
    cluster = Cluster(tmp_path_factory.mktemp("pg"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def database(postgres: Cluster, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    name = f"t{abs(hash(request.node.nodeid)):x}"
    postgres.psql(f"CREATE DATABASE {name}")
    return postgres.url.replace("///postgres?", f"///{name}?")


@pytest.fixture(scope="session")
def model_store() -> Store:
    """A verified store that holds ``smollm2-135m-instruct``, converted once from its GGUF."""
    from sovereign.weights.lock import VERSION
    from sovereign.weights.store import Store

    if not GGUF.exists():
        pytest.fail(
            "no small model here; scripts/fetch-model fetches it (98 MB), scripts/test does"
        )
    # Checkouts of several ages share the cache, and each reads only its own kind of lockfile.
    root = CACHE / f"test-store-v{VERSION}"
    store = Store(root, root / "sovereign.lock")
    with (CACHE / "test-store.lock").open("w") as guard:  # several pytest workers, one import
        fcntl.flock(guard, fcntl.LOCK_EX)
        if "smollm2-135m-instruct" not in {e.name for e in store.entries()}:
            store.add_gguf(GGUF, name="smollm2-135m-instruct", licence="Apache-2.0")
    return store
