"""Published logs are read strictly: each tile and record leads to the signed root, or is named."""

from __future__ import annotations

import pytest

from sovereign.audit.note import Signer
from sovereign.audit.tiles import Tiles, check, tile_path
from sovereign.audit.tree import (
    Frontier,
    consistency_path,
    consistency_proof,
    inclusion_path,
    inclusion_proof,
    leaf_hash,
)

SIGNER = Signer.from_seed("example.org/log", bytes(32))


def test_paths_are_as_the_specification_writes_them() -> None:
    """c2sp.org/tlog-tiles: "index 1234067 will be encoded as x001/x234/067"."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path("entries", 0, 3) == "tile/entries/000.p/3"
    assert tile_path(2, 1000) == "tile/2/x001/000"
    assert tile_path(63, 999, 255) == "tile/63/999.p/255"


def published(entries: list[bytes]) -> dict[str, bytes]:
    """A log in memory, written the plain way: the whole tree, tile by tile."""
    files = {}
    for n in range(0, len(entries), 256):
        part = entries[n : n + 256]
        data = b"".join(len(e).to_bytes(2, "big") + e for e in part)
        files[tile_path("entries", n // 256, len(part))] = data
    row, level = [leaf_hash(e) for e in entries], 0
    root = Frontier().extend(row).root()
    while row:
        for n in range(0, len(row), 256):
            part = row[n : n + 256]
            files[tile_path(level, n // 256, len(part))] = b"".join(part)
        row = [Frontier().extend(row[n : n + 256]).root() for n in range(0, len(row) - 255, 256)]
        level += 1
    from sovereign.audit.note import Checkpoint

    note = SIGNER.sign(str(Checkpoint(SIGNER.name, len(entries), root)))
    return files | {"checkpoint": note.encode()}


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 1000, 65_536, 65_793])
def test_a_log_of_any_size_is_read_whole(size: int) -> None:
    """Around each power of 256 the number of levels and partial tiles changes."""
    files = published([b"%d" % n for n in range(size)])
    found = check(files.get, SIGNER.verifier)
    assert found.problems == []
    assert found.records == size


def test_proofs_from_tiles_are_those_from_leaves() -> None:
    """Whoever has tiles can prove the same as whoever has all leaves."""
    entries = [b"%d" % n for n in range(700)]
    leaves = [leaf_hash(e) for e in entries]
    for size in (1, 2, 255, 256, 300, 513, 700):
        tiles = Tiles(published(entries[:size]).get, size)
        for index in {0, size // 3, size - 1}:
            expected = inclusion_proof(leaves[:size], index)
            assert inclusion_path(tiles.root_of, index, size) == expected
        for old in {1, size // 2 or 1, size}:
            expected = consistency_proof(leaves[:size], old)
            assert consistency_path(tiles.root_of, old, size) == expected


def test_a_full_tile_stands_in_for_a_partial_one() -> None:
    """A log may delete partial tiles; a reader with an older checkpoint takes the full one."""
    entries = [b"%d" % n for n in range(512)]
    old, new = published(entries[:300]), published(entries)
    files = new | {"checkpoint": old["checkpoint"], "tile/1/000.p/1": old["tile/1/000.p/1"]}
    found = check(files.get, SIGNER.verifier)
    assert (found.problems, found.records) == ([], 300)


def test_each_wrong_tile_is_named_once() -> None:
    """Checked from the top, each fault is where the report says, and its neighbours are fine."""
    good = published([b"%d" % n for n in range(66_000)])
    for name in (
        "tile/0/003",
        "tile/0/257.p/208",
        "tile/1/000",
        "tile/1/001.p/1",
        "tile/2/000.p/1",
    ):
        bad = good | {name: bytes([good[name][0] ^ 1]) + good[name][1:]}
        found = check(bad.get, SIGNER.verifier)
        assert not found.ok, name
        assert len(found.problems) <= 2, found.problems
    entry = good["tile/entries/002"]
    found = check((good | {"tile/entries/002": entry[:2] + b"X" + entry[3:]}).get, SIGNER.verifier)
    assert found.problems == ["record 512: it is not what tile/0/002 says it is"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: d + b"\0\0",
        lambda d: b"\xff\xff" + d[2:],
        lambda d: b"",
    ],
)
def test_a_misshapen_bundle_is_refused(change: object) -> None:
    """Lengths that lead past the end, or to another number of entries, are never read around."""
    good = published([b"%d" % n for n in range(10)])
    name = "tile/entries/000.p/10"
    bad = good | {name: change(good[name])}  # type: ignore[operator]
    assert not check(bad.get, SIGNER.verifier).ok


def test_no_checkpoint_is_no_log() -> None:
    """Without a signature there is nothing to lead to."""
    assert check({}.get, SIGNER.verifier).problems
