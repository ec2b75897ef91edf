"""A C2SP tlog-tiles log that others wrote: transparency-dev/tessera `testdata/log`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.audit.note import Checkpoint, Verifier, open_checkpoint
from sovereign.audit.proof import Extension
from sovereign.audit.tiles import Tiles, check, folder
from sovereign.audit.tree import consistency_path, inclusion_path, leaf_hash, verify_inclusion

LOG = Path(__file__).parents[3] / "shared" / "oracles" / "tessera_log" / "log"
KEY = Verifier.parse(
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
)

pytestmark = pytest.mark.skipif(not LOG.is_dir(), reason="shared/oracles is not here")


def checkpoints() -> list[Checkpoint]:
    notes = [(LOG / f"checkpoint.{n}").read_text() for n in range(16)]
    return [open_checkpoint(note, KEY) for note in notes]


def test_the_tessera_log_verifies_whole() -> None:
    """Every tile and entry of another implementation's log, and each of its 16 checkpoints."""
    found = check(folder(LOG), KEY, checkpoints())
    assert (found.problems, found.records) == ([], 15)


def test_every_older_tessera_checkpoint_verifies_from_its_own_partial_tiles() -> None:
    """A log must serve the partial tiles of each size that it signed."""
    for size in range(1, 16):
        tiles = Tiles(folder(LOG), size)
        assert tiles.frontier().root() == checkpoints()[size].root


def test_proofs_built_from_tessera_tiles_lead_to_its_signed_roots() -> None:
    """Inclusion of each entry, and consistency from each size to each later one."""
    signed = checkpoints()
    for size in range(1, 16):
        tiles = Tiles(folder(LOG), size)
        note = (LOG / f"checkpoint.{size}").read_text()
        for index, entry in enumerate(tiles.entries(0)):
            path = inclusion_path(tiles.root_of, index, size)
            verify_inclusion(leaf_hash(entry), index, size, path, signed[size].root)
        for old in range(1, size):
            path = consistency_path(tiles.root_of, old, size)
            Extension(old, tuple(path), note).check(signed[old], KEY)


def test_a_tessera_log_with_one_bit_changed_does_not_verify() -> None:
    """So that the test above can fail."""
    fetch = folder(LOG)

    def flipped(name: str) -> bytes | None:
        data = fetch(name)
        return data[:-1] + bytes([data[-1] ^ 1]) if data and "entries" in name else data

    assert check(flipped, KEY).problems == ["record 14: it is not what tile/0/000 says it is"]
