"""Small real logs for the tests of what proves something about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sovereign.audit import record
from sovereign.audit.log import Log
from sovereign.audit.note import Signer, Verifier
from sovereign.audit.place import Place

SEED = bytes(range(32))
ORIGIN = "example.org/log"


def verifier(seed: bytes = SEED, origin: str = ORIGIN) -> Verifier:
    return Signer.from_seed(origin, seed).verifier


def grow(
    folder: Path | Place,
    records: int,
    *,
    seed: bytes = SEED,
    origin: str = ORIGIN,
    clock: Callable[[], float] = lambda: 1_700_000_000.0,
) -> int:
    """Open the log in ``folder``, append ``records`` and close it: its size, with what opening and
    closing add."""
    with Log.open(folder, key=seed, origin=origin, source="test", clock=clock) as log:
        waiting = [log.submit(record.event("log.read", command="show")) for _ in range(records)]
        for future in waiting:
            future.result()
        return log.size + 1
