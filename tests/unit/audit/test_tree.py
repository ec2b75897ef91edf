"""The Merkle tree against vectors of its own: small trees whose hashes anybody can redo."""

from __future__ import annotations

import hashlib

import pytest

from sovereign.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_inclusion,
)
from sovereign.errors import LogTampered


def test_a_tree_of_three_is_what_the_rfc_draws() -> None:
    """RFC 6962 section 2.1: three leaves split at two, the largest power of two below three."""
    a, b, c = (leaf_hash(x) for x in (b"a", b"b", b"c"))
    assert a == hashlib.sha256(b"\x00a").digest()
    assert node_hash(a, b) == hashlib.sha256(b"\x01" + a + b).digest()
    assert Frontier().extend([a, b, c]).root() == node_hash(node_hash(a, b), c)
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_a_frontier_survives_being_packed() -> None:
    """Checkpoints carry it; what was packed at any size goes on to the same root."""
    leaves = [leaf_hash(b"%d" % i) for i in range(70)]
    for size in range(70):
        before = Frontier().extend(leaves[:size])
        again = Frontier.unpack(size, before.pack())
        assert again == before
        assert again.extend(leaves[size:]) == Frontier().extend(leaves)


@pytest.mark.parametrize(("size", "length"), [(1, 0), (1, 64), (2, 64), (3, 32), (-1, 32), (0, 1)])
def test_a_frontier_of_the_wrong_length_is_refused(size: int, length: int) -> None:
    """The number of peaks follows from the size; anything else was not written by us."""
    with pytest.raises(LogTampered):
        Frontier.unpack(size, bytes(length))


def test_a_proof_for_a_record_that_is_not_there_is_refused() -> None:
    """An index at or past the size, or below zero, has no proof, whatever the hashes say."""
    leaves = [leaf_hash(b"%d" % i) for i in range(4)]
    root = Frontier().extend(leaves).root()
    proof = inclusion_proof(leaves, 3)
    for index in (4, -1):
        with pytest.raises(LogTampered):
            verify_inclusion(leaves[3], index, 4, proof, root)
    with pytest.raises(ValueError):
        inclusion_proof(leaves, 4)
    with pytest.raises(ValueError):
        consistency_proof(leaves, 0)
