"""The Merkle tree of RFC 6962: hashes, a frontier that grows, and proofs. Pure functions of bytes.

A proof is verified by a function that returns nothing, or raises :class:`LogTampered`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sovereign.errors import LogTampered

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "Frontier",
    "Subtrees",
    "consistency_path",
    "consistency_proof",
    "inclusion_path",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE = 32

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""RFC 6962 section 2.1: "The hash of an empty list is the hash of an empty string"."""


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 section 2.1: MTH({d(0)}) = SHA-256(0x00 || d(0))."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1: MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])).

    The prefixes differ, so that a node can never be passed off as a leaf.
    """
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """What is needed of a tree in order to grow it: one root per perfect subtree, largest first.

    There is one peak for each set bit of ``size``. Given ``size``, equal roots mean equal peaks
    (SHA-256 has no known collisions), so a frontier whose root is signed is as good as the leaves.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """The frontier after ``leaves`` (hashes of 32 bytes) were appended."""
        peaks, size = list(self.peaks), self.size
        sha256 = hashlib.sha256
        for leaf in leaves:
            peaks.append(leaf)
            carry = size
            while carry & 1:  # two subtrees of the same height become one
                right, left = peaks.pop(), peaks.pop()
                peaks.append(sha256(b"\x01" + left + right).digest())
                carry >>= 1
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """The tree's root hash (32 bytes)."""
        if not self.peaks:
            return EMPTY_ROOT
        *rest, root = self.peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root

    def pack(self) -> bytes:
        """The peaks one after another."""
        return b"".join(self.peaks)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> Frontier:
        """The frontier of ``size`` leaves from what :meth:`pack` wrote, or :class:`LogTampered`."""
        if size < 0 or len(packed) != HASH_SIZE * size.bit_count():
            raise LogTampered(f"the stored frontier does not fit a tree of {size} records")
        steps = range(0, len(packed), HASH_SIZE)
        return cls(size, tuple(packed[i : i + HASH_SIZE] for i in steps))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """RFC 6962 section 2.1.1, PATH(m, D[n]): that ``leaves[index]`` is in their tree."""
    return inclusion_path(_roots(leaves), index, len(leaves))


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """RFC 6962 section 2.1.2, PROOF(m, D[n]): that the tree of ``leaves`` begins with the tree of
    its first ``size`` leaves."""
    return consistency_path(_roots(leaves), size, len(leaves))


Subtrees = Callable[[int, int], bytes]
"""MTH(D[start:stop]), for the ranges that RFC 6962 cuts a tree into. Who has all leaves, or tiles
of them, can say it without handing over the leaves."""


def inclusion_path(root_of: Subtrees, index: int, size: int) -> list[bytes]:
    """RFC 6962 section 2.1.1, PATH(index, D[size])."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} among {size}")
    path, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(root_of(middle, stop))
            stop = middle
        else:
            path.append(root_of(start, middle))
            start = middle
    return path[::-1]  # "from the leaf's sibling hash up to the root's child hash"


def consistency_path(root_of: Subtrees, old: int, size: int) -> list[bytes]:
    """RFC 6962 section 2.1.2, PROOF(old, D[size])."""
    if not 0 < old <= size:
        raise ValueError(f"no consistency proof from {old} to {size}")
    path, start, stop = [], 0, size
    while old < stop:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(root_of(middle, stop))
            stop = middle
        else:
            path.append(root_of(start, middle))
            start = middle
    # SUBPROOF(m, D[m], b): with b, which is true while nothing was cut off on the left, the old
    # root itself is known and is left out.
    if start > 0:
        path.append(root_of(start, stop))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """That ``leaf`` is at ``index`` in the tree of ``size`` leaves with ``root``.

    The steps are those of RFC 9162 section 2.1.3.2. Raises :class:`LogTampered`.
    """
    _hashes(leaf, root, *proof)
    if not 0 <= index < size:  # step 1
        raise LogTampered(f"there is no record {index} in a log of {size}", index=index)
    fn, sn, r = index, size - 1, leaf  # steps 2 and 3
    for p in proof:  # step 4
        if sn == 0:
            raise LogTampered("the inclusion proof is too long", index=index)
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or r != root:  # step 5
        raise LogTampered("the inclusion proof does not lead to the root", index=index)


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """That the tree of ``new_size`` leaves begins with the tree of ``old_size`` leaves.

    The steps are those of RFC 9162 section 2.1.4.2. Raises :class:`LogTampered`. There is nothing
    to prove about an empty tree, so a proof that claims to is refused.
    """
    _hashes(*proof)
    if not 0 <= old_size <= new_size:
        raise LogTampered(f"a log of {new_size} records cannot follow one of {old_size}")
    if old_size == new_size:
        if proof or old_root != new_root or (old_size == 0 and old_root != EMPTY_ROOT):
            raise LogTampered(f"two different logs of {old_size} records")
        return
    path = list(proof)
    if old_size == 0 or not path:  # step 1
        raise LogTampered(f"there is no consistency proof from {old_size} to {new_size}")
    if old_size & (old_size - 1) == 0:  # step 2: an exact power of two
        path.insert(0, old_root)
    fn, sn = old_size - 1, new_size - 1  # step 3
    while fn & 1:  # step 4
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]  # step 5
    for c in path[1:]:  # step 6
        if sn == 0:
            raise LogTampered("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if fr != old_root or sr != new_root or sn != 0:  # step 7
        raise LogTampered(f"the log of {new_size} records does not begin with that of {old_size}")


def _split(n: int) -> int:
    """The largest power of two smaller than ``n``: where RFC 6962 cuts a list of n > 1 leaves."""
    return 1 << ((n - 1).bit_length() - 1)


def _roots(leaves: Sequence[bytes]) -> Subtrees:
    return lambda start, stop: Frontier().extend(leaves[start:stop]).root()


def _hashes(*hashes: bytes) -> None:
    if any(len(h) != HASH_SIZE for h in hashes):
        raise LogTampered(f"a proof holds something that is not a hash of {HASH_SIZE} bytes")
