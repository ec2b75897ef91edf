"""Laws of the tree, for any tree."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.audit.tree import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from sovereign.errors import LogTampered

leaf_lists = st.lists(st.binary(max_size=8), min_size=1, max_size=70).map(
    lambda data: [leaf_hash(d) for d in data]
)


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word for word, slow and with nothing shared."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(by_definition(leaves[:k]), by_definition(leaves[k:]))


def flipped(data: bytes, bit: int) -> bytes:
    at = bit % (8 * len(data))
    return data[: at // 8] + bytes([data[at // 8] ^ (1 << at % 8)]) + data[at // 8 + 1 :]


@given(leaf_lists, st.data())
def test_the_frontier_is_the_definition_however_it_was_grown(
    leaves: list[bytes], data: st.DataObject
) -> None:
    """Batches of any size end at the root that the RFC defines."""
    cut = data.draw(st.integers(0, len(leaves)))
    assert Frontier().extend(leaves[:cut]).extend(leaves[cut:]).root() == by_definition(leaves)


@settings(deadline=None)
@given(leaf_lists, st.data())
def test_an_inclusion_proof_holds_and_no_bit_of_it_may_change(
    leaves: list[bytes], data: st.DataObject
) -> None:
    """Leaf, root, every hash of the proof, and its length: any change is refused."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    size, root, leaf = len(leaves), by_definition(leaves), leaves[index]
    proof = inclusion_proof(leaves, index)
    verify_inclusion(leaf, index, size, proof, root)
    bit = data.draw(st.integers(0, 255))
    broken = [(flipped(leaf, bit), proof, root), (leaf, proof, flipped(root, bit))]
    broken += [
        (leaf, [*proof[:i], flipped(p, bit), *proof[i + 1 :]], root) for i, p in enumerate(proof)
    ]
    broken += [(leaf, proof[:i] + proof[i + 1 :], root) for i in range(len(proof))]
    broken += [(leaf, [*proof, bytes(32)], root), (leaf, [bytes(32), *proof], root)]
    for bad_leaf, bad_proof, bad_root in broken:
        with pytest.raises(LogTampered):
            verify_inclusion(bad_leaf, index, size, bad_proof, bad_root)


@settings(deadline=None)
@given(leaf_lists, st.data())
def test_a_consistency_proof_holds_and_no_bit_of_it_may_change(
    leaves: list[bytes], data: st.DataObject
) -> None:
    """An old checkpoint stays provable for ever, and nothing else does."""
    old = data.draw(st.integers(1, len(leaves)))
    new = len(leaves)
    old_root, new_root = by_definition(leaves[:old]), by_definition(leaves)
    proof = consistency_proof(leaves, old)
    verify_consistency(old, new, old_root, new_root, proof)
    bit = data.draw(st.integers(0, 255))
    broken = [(flipped(old_root, bit), new_root, proof), (old_root, flipped(new_root, bit), proof)]
    broken += [
        (old_root, new_root, [*proof[:i], flipped(p, bit), *proof[i + 1 :]])
        for i, p in enumerate(proof)
    ]
    broken += [(old_root, new_root, proof[:i] + proof[i + 1 :]) for i in range(len(proof))]
    broken += [(old_root, new_root, [*proof, bytes(32)])]
    for bad_old, bad_new, bad_proof in broken:
        with pytest.raises(LogTampered):
            verify_consistency(old, new, bad_old, bad_new, bad_proof)


@given(leaf_lists, st.data())
def test_a_changed_leaf_changes_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    """The root commits to every leaf and to their order."""
    i = data.draw(st.integers(0, len(leaves) - 1))
    root = Frontier().extend(leaves).root()
    changed = [*leaves[:i], flipped(leaves[i], data.draw(st.integers(0, 255))), *leaves[i + 1 :]]
    assert Frontier().extend(changed).root() != root
    assert Frontier().extend([*leaves, leaves[i]]).root() != root
