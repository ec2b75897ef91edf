"""RFC 6962 and C2SP vectors: our own, which are always here, and others', from ../shared."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sovereign.audit import verify as standalone
from sovereign.audit.note import Verifier, open_checkpoint
from sovereign.audit.tree import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from sovereign.errors import LogTampered

# The eight leaves and the roots of every prefix that certificate-transparency's own reference
# implementation publishes (google/certificate-transparency, merkletree tests).
LEAVES = [
    bytes.fromhex(h)
    for h in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
CHECKPOINT_3 = """\
example.com/log/testdata
3
Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk=

— example.com/log/testdata M9e0lvAQRtH832pk2RTbeSeZMkp4FZSdJYFBUjO5SKxuRbywPUF3cx+HUrb50kjd3rUWW/fj53Wj1dwcwh9bGQnqVAg=
"""  # noqa: E501


def test_the_reference_trees_have_the_reference_roots() -> None:
    """Eight leaves, nine roots, and every inclusion and consistency proof between them."""
    hashes = [leaf_hash(d) for d in LEAVES]
    for size, root in enumerate(ROOTS):
        assert Frontier().extend(hashes[:size]).root().hex() == root
        assert standalone.root_of(standalone.grow([], 0, hashes[:size])).hex() == root
        for i in range(size):
            verify_inclusion(
                hashes[i], i, size, inclusion_proof(hashes[:size], i), bytes.fromhex(root)
            )
        for old in range(1, size + 1):
            proof = consistency_proof(hashes[:size], old)
            verify_consistency(old, size, bytes.fromhex(ROOTS[old]), bytes.fromhex(root), proof)


def test_a_note_that_go_signed_opens_here() -> None:
    """transparency-dev/tessera's checkpoint over "one", "two", "three", by its own key."""
    three = Frontier().extend(map(leaf_hash, (b"one", b"two", b"three"))).root()
    checkpoint = open_checkpoint(CHECKPOINT_3, Verifier.parse(KEY))
    assert (checkpoint.size, checkpoint.root) == (3, three)
    assert standalone.Key(KEY).open(CHECKPOINT_3.encode()) == (3, three)


def load(shared: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rfc6962" / f"{name}.json.gz") as file:
        cases: list[dict[str, Any]] = json.load(file)
    assert len(cases) > 50
    return cases


def unbase64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def test_the_shared_inclusion_vectors_pass(shared: Path) -> None:
    """transparency-dev/merkle's good and bad proofs: each is judged as its authors judge it."""
    for case in load(shared, "inclusion"):
        proof = [unbase64(p) for p in case["proof"] or []]
        try:
            verify_inclusion(
                unbase64(case["leafHash"]), case["leafIdx"], case["treeSize"], proof,
                unbase64(case["root"]),
            )  # fmt: skip
            refused = False
        except LogTampered:
            refused = True
        assert refused == case["wantErr"], case["case"]


def test_the_shared_consistency_vectors_pass(shared: Path) -> None:
    """And a proof that starts at an empty tree is refused."""
    for case in load(shared, "consistency"):
        proof = [unbase64(p) for p in case["proof"] or []]
        roots = unbase64(case["root1"]), unbase64(case["root2"])
        try:
            verify_consistency(case["size1"], case["size2"], *roots, proof)
            refused = False
        except LogTampered:
            refused = True
        assert refused == case["wantErr"], case["case"]


def entries(log: Path) -> Iterator[bytes]:
    """c2sp.org/tlog-tiles: an entry bundle is entries, each with its length in 16 bits before."""
    bundle = (log / "tile" / "entries" / "000.p" / "15").read_bytes()
    while bundle:
        (length,) = struct.unpack_from(">H", bundle)
        yield bundle[2 : 2 + length]
        bundle = bundle[2 + length :]


def test_the_shared_log_has_the_roots_that_it_signed(shared: Path) -> None:
    """Tessera's 16 checkpoints: signature, size, and the root recomputed from the entries."""
    log = shared / "oracles" / "tessera_log" / "log"
    leaves = [leaf_hash(e) for e in entries(log)]
    assert len(leaves) == 15
    verifier, alone = Verifier.parse(KEY), standalone.Key(KEY)
    for size in range(16):
        note = (log / f"checkpoint.{size}").read_text("utf-8")
        checkpoint = open_checkpoint(note, verifier)
        assert checkpoint.size == size
        assert checkpoint.root == Frontier().extend(leaves[:size]).root()
        assert alone.open(note.encode()) == (size, checkpoint.root)


@pytest.mark.parametrize("change", ["3\n", "Wqx", "M9e0", "example", "— ", "\n\n"])
def test_a_note_that_go_signed_and_somebody_changed_does_not_open(change: str) -> None:
    """Both of our parsers refuse it."""
    broken = CHECKPOINT_3.replace(change, change[::-1] if len(set(change)) > 1 else "\n", 1)
    assert broken != CHECKPOINT_3
    with pytest.raises(LogTampered):
        open_checkpoint(broken, Verifier.parse(KEY))
    with pytest.raises(ValueError):
        standalone.Key(KEY).open(broken.encode())
