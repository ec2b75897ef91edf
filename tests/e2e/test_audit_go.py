"""The log as outsiders check it: a Go program with none of our code, and our own reader beside it.

Both accept what the toolkit wrote, and both reject each named tampering.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import logs
import pytest
from click.testing import CliRunner

from sovereign.audit.chain import Rotation, name_of
from sovereign.audit.note import Checkpoint, Signer, Verifier, b64, open_checkpoint
from sovereign.audit.place import Place
from sovereign.audit.proof import Extension, Proof
from sovereign.audit.published import check_chain
from sovereign.audit.shelf import FolderShelf
from sovereign.audit.tiles import check, folder
from sovereign.audit.tree import Frontier, leaf_hash
from sovereign.cli.audit import audit_command
from sovereign.errors import LogTampered

SOURCE = Path(__file__).parents[1] / "go" / "verify.go"
GOPATH = Path("/usr/share/gocode")
KEY = logs.verifier()
SIGNER = Signer.from_seed(logs.ORIGIN, logs.SEED)


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go verifier, built from Debian's packages without a network."""
    if shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("no Go verifier: apt-get install golang-go golang-golang-x-mod-dev")
    built = tmp_path_factory.mktemp("go") / "verify"
    env = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(built.parent / "cache")}
    command = ["go", "build", "-o", str(built), str(SOURCE)]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that grew in two steps, as the command line hands it out: `before` and `after` are its
    published tiles, with a proof and a consistency proof."""
    base = tmp_path_factory.mktemp("made")
    log, run = base / "log", CliRunner()
    here = ["--path", str(log)]

    def sovereign(*args: str) -> None:
        done = run.invoke(audit_command, [*args, *here], catch_exceptions=False)
        assert done.exit_code == 0, done.output

    logs.grow(log, 300)
    sovereign("publish", str(base / "before"))
    logs.grow(log, 500)
    sovereign("publish", str(base / "after"))
    sovereign("prove", "270", "--out", str(base / "270.tlog-proof"))
    old = str(base / "before" / "checkpoint")
    sovereign("consistency", old, "--out", str(base / "consistency"))
    return base


def accepts(go: Path, *args: object) -> bool:
    done = subprocess.run([str(go), *map(str, args)], capture_output=True, text=True, timeout=60)
    assert done.returncode == (0 if done.stdout.startswith("ok: ") else 1), done.stderr
    return done.returncode == 0


def we_accept(tiles: Path, old: Path) -> bool:
    return check(folder(tiles), KEY, [open_checkpoint(old.read_text(), KEY)]).ok


def test_go_and_we_accept_the_published_log(go: Path, made: Path) -> None:
    """Every record and tile, and that it continues what was published before."""
    for tiles in ("before", "after"):
        assert accepts(go, "log", made / tiles, KEY, made / "before" / "checkpoint")
        assert we_accept(made / tiles, made / "before" / "checkpoint")


def test_go_and_we_accept_the_proofs(go: Path, made: Path) -> None:
    """A record's proof, and that one checkpoint follows another, from the files alone."""
    old = made / "before" / "checkpoint"
    assert accepts(go, "proof", made / "270.tlog-proof", KEY)
    assert accepts(go, "consistency", made / "consistency", old, KEY)
    assert Proof.parse((made / "270.tlog-proof").read_text()).check(KEY).index == 270
    extension = Extension.parse((made / "consistency").read_text())
    assert extension.check(open_checkpoint(old.read_text(), KEY), KEY).size == 804


# --- Tamperings with what was published. Each gets a copy of the folder. ------------------------

BUNDLE, LAST = "tile/entries/000", "tile/entries/003.p/36"


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(bytes(data))


def entries(file: Path) -> list[bytes]:
    data, found = file.read_bytes(), []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        found.append(data[2:end])
        data = data[end:]
    return found


def write_entries(file: Path, changed: list[bytes]) -> None:
    file.write_bytes(b"".join(len(e).to_bytes(2, "big") + e for e in changed))


def replace_text(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def swap(t: Path) -> None:
    found = entries(t / BUNDLE)
    found[7], found[8] = found[8], found[7]
    write_entries(t / BUNDLE, found)


def replace_with_leaf(t: Path) -> None:
    """The record and its leaf hash are changed together, as whoever knows the format would."""
    found = entries(t / BUNDLE)
    found[7] = found[7].replace(b"show", b"shoo")
    write_entries(t / BUNDLE, found)
    tile = bytearray((t / "tile/0/000").read_bytes())
    tile[7 * 32 : 8 * 32] = leaf_hash(found[7])
    (t / "tile/0/000").write_bytes(bytes(tile))


def rebuild(t: Path) -> None:
    """As above, and all tiles over it: everything agrees but the signed root."""
    replace_with_leaf(t)
    row = (t / "tile/0/000").read_bytes()
    root = Frontier().extend(row[i : i + 32] for i in range(0, 8192, 32)).root()
    top = t / "tile/1/000.p/3"
    top.write_bytes(root + top.read_bytes()[32:])


def resign(t: Path, *, signer: Signer = SIGNER, size: int = 804, drop: int = 0) -> None:
    """A correctly signed checkpoint of another tree: of the first records without some."""
    leaves = [leaf_hash(e) for f in (BUNDLE, "tile/entries/001") for e in entries(t / f)]
    leaves += [leaf_hash(e) for f in ("tile/entries/002", LAST) for e in entries(t / f)]
    root = Frontier().extend(leaves[: len(leaves) - drop]).root()
    note = signer.sign(str(Checkpoint(signer.name, size, root)))
    (t / "checkpoint").write_text(note)


def forget(t: Path) -> None:
    """The older publication in place of the newer one."""
    shutil.rmtree(t)
    shutil.copytree(t.parent / "before", t)


def rewrite(t: Path) -> None:
    """Whoever has the key writes another history, as long and correctly signed."""
    log = t.parent / "rewritten"
    logs.grow(log, 802, clock=lambda: 2_000_000_000.0)
    shutil.rmtree(t)
    args = ["publish", str(t), "--path", str(log)]
    assert CliRunner().invoke(audit_command, args, catch_exceptions=False).exit_code == 0


def unlink(name: str) -> Callable[[Path], None]:
    return lambda t: (t / name).unlink()


OTHER = Signer.from_seed(logs.ORIGIN, bytes(32))
ELSEWHERE = Signer.from_seed("example.org/elsewhere", logs.SEED)

TAMPERINGS: dict[str, Callable[[Path], None]] = {
    "record_bit_flipped": lambda t: flip(t / BUNDLE, 40),
    "record_dropped": lambda t: write_entries(t / BUNDLE, entries(t / BUNDLE)[1:]),
    "record_appended": lambda t: write_entries(t / LAST, [*entries(t / LAST), b"{}"]),
    "records_swapped": swap,
    "record_and_its_leaf_hash_replaced": replace_with_leaf,
    "record_and_all_tiles_over_it_replaced": rebuild,
    "record_length_past_the_end": lambda t: flip(t / LAST, 0),
    "bundle_removed": unlink("tile/entries/001"),
    "bundle_in_anothers_place": lambda t: shutil.copy(t / "tile/entries/001", t / BUNDLE) and None,
    "leaf_hash_flipped": lambda t: flip(t / "tile/0/001", 999),
    "leaf_hash_flipped_in_a_partial_tile": lambda t: flip(t / "tile/0/003.p/36", 1),
    "node_hash_flipped": lambda t: flip(t / "tile/1/000.p/3", 64),
    "tile_removed": unlink("tile/0/002"),
    "tile_cut_short": lambda t: (t / "tile/0/002").write_bytes(bytes(32)) and None,
    "checkpoint_removed": unlink("checkpoint"),
    "checkpoint_size_lowered": lambda t: replace_text(t / "checkpoint", "\n804\n", "\n803\n"),
    "checkpoint_size_with_a_zero_before": lambda t: (
        resign(t, size=804) or replace_text(t / "checkpoint", "\n804\n", "\n0804\n")
    ),
    "checkpoint_root_replaced": lambda t: replace_text(
        t / "checkpoint", (t / "checkpoint").read_text().split("\n")[2], b64(bytes(32))
    ),
    "checkpoint_with_a_line_more": lambda t: replace_text(t / "checkpoint", "\n\n", "\nmore\n\n"),
    "signature_flipped": lambda t: replace_text(
        t / "checkpoint",
        (t / "checkpoint").read_text()[-20:-10],
        (t / "checkpoint").read_text()[-20:-10].swapcase(),
    ),
    "signed_by_another_key": lambda t: resign(t, signer=OTHER),
    "signed_for_another_log": lambda t: resign(t, signer=ELSEWHERE),
    "signed_root_of_fewer_records": lambda t: resign(t, drop=1),
    "signed_size_of_fewer_records": lambda t: resign(t, size=800),
    "rolled_back_to_an_older_copy": forget,
    "rewritten_by_whoever_has_the_key": rewrite,
}


@pytest.mark.parametrize("attack", TAMPERINGS)
def test_go_and_we_reject_a_tampered_log(go: Path, made: Path, tmp_path: Path, attack: str) -> None:
    """Neither accepts it; a checkpoint kept elsewhere is at hand, as docs/audit.md asks."""
    for name in ("before", "after"):
        shutil.copytree(made / name, tmp_path / name)
    tiles, kept = tmp_path / "after", made / "after" / "checkpoint"
    assert we_accept(tiles, kept)
    TAMPERINGS[attack](tiles)
    assert not accepts(go, "log", tiles, KEY, kept)
    assert not we_accept(tiles, kept)


def in_proof(change: Callable[[Proof], Proof]) -> Callable[[str], str]:
    return lambda text: str(change(Proof.parse(text)))


PROOF_TAMPERINGS: dict[str, Callable[[str], str]] = {
    "proof_for_another_index": in_proof(lambda p: replace(p, index=271)),
    "proof_index_past_the_end": in_proof(lambda p: replace(p, index=804)),
    "proof_of_another_record": in_proof(lambda p: replace(p, record=b"{}")),
    "proof_hash_replaced": in_proof(lambda p: replace(p, hashes=(bytes(32), *p.hashes[1:]))),
    "proof_hash_dropped": in_proof(lambda p: replace(p, hashes=p.hashes[1:])),
    "proof_hash_added": in_proof(lambda p: replace(p, hashes=(*p.hashes, bytes(32)))),
    "proof_under_a_forged_size": lambda text: text.replace("\n804\n", "\n805\n"),
    "proof_without_signature": lambda text: text.rpartition("\n— ")[0],
    "proof_of_another_version": lambda text: text.replace("@v1", "@v2"),
    "proof_index_with_a_zero_before": lambda text: text.replace("index 270", "index 0270"),
}


@pytest.mark.parametrize("attack", PROOF_TAMPERINGS)
def test_go_and_we_reject_a_tampered_proof(
    go: Path, made: Path, tmp_path: Path, attack: str
) -> None:
    """A proof file is evidence only as its writer made it."""
    file = tmp_path / "bad.tlog-proof"
    file.write_text(PROOF_TAMPERINGS[attack]((made / "270.tlog-proof").read_text()))
    assert not accepts(go, "proof", file, KEY)
    with pytest.raises(LogTampered):
        Proof.parse(file.read_text()).check(KEY)


def test_go_and_we_reject_a_tampered_consistency_proof(
    go: Path, made: Path, tmp_path: Path
) -> None:
    """Each hash matters, and so does the checkpoint that it begins at."""
    old = made / "before" / "checkpoint"
    before = open_checkpoint(old.read_text(), KEY)
    good = Extension.parse((made / "consistency").read_text())
    for n in range(len(good.hashes)):
        hashes = tuple(bytes(32) if i == n else h for i, h in enumerate(good.hashes))
        bad = replace(good, hashes=hashes)
        (tmp_path / "bad").write_text(str(bad))
        assert not accepts(go, "consistency", tmp_path / "bad", old, KEY)
        with pytest.raises(LogTampered):
            bad.check(before, KEY)
    (tmp_path / "bad").write_text(str(replace(good, old=301)))
    assert not accepts(go, "consistency", tmp_path / "bad", old, KEY)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of three logs, rotated by size, as its published tiles."""
    base = tmp_path_factory.mktemp("chain")
    for records in (310, 310, 100):  # rotated with the first record after 300
        logs.grow(Place(base / "log", rotation=Rotation(records=300)), records)
    args = ["publish", str(base / "tiles"), "--path", str(base / "log")]
    done = CliRunner().invoke(audit_command, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return base / "tiles"


def of_chain(tiles: Path, number: int) -> tuple[Path, Verifier]:
    """Where log ``number`` is published, and its key: its name has the number, the key is one."""
    return (
        tiles if number == 1 else tiles / str(number),
        logs.verifier(origin=name_of(logs.ORIGIN, number)),
    )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_go_and_we_accept_each_log_of_a_rotated_chain(
    go: Path, chain: Path, tmp_path: Path, number: int
) -> None:
    """Each is a whole log to whoever knows nothing of ours, and none passes for another. One that
    was tampered with is rejected, and named by us."""
    assert not (chain / "4").exists()
    at, key = of_chain(chain, number)
    assert accepts(go, "log", at, key, at / "checkpoint")
    for other in {1, 2, 3} - {number}:
        assert not accepts(go, "log", at, of_chain(chain, other)[1])
    assert [checked.problems for _, checked in check_chain(FolderShelf(chain), KEY)] == [[]] * 3
    shutil.copytree(chain, tmp_path / "copy")
    at, key = of_chain(tmp_path / "copy", number)
    flip(next(file for file in (at / "tile/entries").rglob("*") if file.is_file()), 40)
    assert not accepts(go, "log", at, key)
    found = check_chain(FolderShelf(tmp_path / "copy"), KEY)
    assert [n for n, checked in found if checked.problems] == [number]


def test_a_log_of_the_chain_in_anothers_place_is_rejected(
    go: Path, chain: Path, tmp_path: Path
) -> None:
    """Though each byte of it was signed."""
    copy = tmp_path / "copy"
    shutil.copytree(chain, copy)
    shutil.rmtree(copy / "3")
    shutil.copytree(copy / "2", copy / "3")
    assert not accepts(go, "log", *of_chain(copy, 3))
    found = check_chain(FolderShelf(copy), KEY)
    assert [n for n, checked in found if checked.problems] == [3]
