"""A disk that is full on either side of an air gap: said in a line, and gone on with afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign.weights.store import Store

SIZE = 3_000_000
# In a mount namespace of the test's own. The check before anything is written would refuse such a
# disk; it is blinded, since another process may fill a disk after it.
SCRIPT = """
mount -t tmpfs -o size=2m none "$HERE" || exit 77
if "$@"; then exit 42; fi
mount -o remount,size=20m "$HERE"
"$@"
cp -r "$HERE/." "$OUT"
"""
BLIND = """
import sys
from sovereign.weights import bundle, unbundle
bundle.require_space = unbundle.require_space = lambda *_: None
from sovereign.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def source(tmp_path: Path) -> Store:
    there = tmp_path / "source"
    there.mkdir()
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (SIZE, SIZE)
    body = random.Random(1).randbytes(SIZE)
    (there / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
    store = Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")
    store.add_folder(there, name="tiny", licence="MIT")
    return store


def filled(here: Path, out: Path, *arguments: str | Path) -> str:
    """`sovereign weights` twice with the same words: on a disk that fills up, and on one that was
    made larger. What lies in ``here`` in the end is in ``out``."""
    here.mkdir()
    out.mkdir()
    command = [sys.executable, "-c", BLIND, "weights", *arguments]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", SCRIPT, "sh", *command],
        env=os.environ | {"HERE": str(here), "OUT": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (1, 77) and "Operation not permitted" in done.stderr:
        pytest.skip("no mount namespace here")
    assert done.returncode == 0, done.stderr
    return done.stderr


SAID = "error: no space left on device\nhint: free some space, then run this again"


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    source: Store, tmp_path: Path
) -> None:
    """On both sides; what comes out is whole."""
    bundle = ("bundle", "tiny", "--part", "1000000", "--store", source.root, "--out")
    assert SAID in filled(tmp_path / "out", tmp_path / "bundle", *bundle, tmp_path / "out")
    inside = tmp_path / "in"
    unbundle = ("unbundle", tmp_path / "bundle", "--unsigned", "--store", inside)
    assert SAID in filled(inside, tmp_path / "store-inside", *unbundle)
    there = Store(tmp_path / "store-inside", tmp_path / "store-inside" / "sovereign.lock")
    there.verify("tiny")
    assert there.entry("tiny") == source.entry("tiny")


def test_too_little_room_is_said_before_anything_is_written(source: Store, tmp_path: Path) -> None:
    """Where nothing blinds the check."""
    (tmp_path / "out").mkdir()
    script = 'mount -t tmpfs -o size=2m none "$HERE" || exit 77; "$@" || ls -A "$HERE"'
    command = [sys.executable, "-m", "sovereign", "weights", "bundle", "tiny"]
    command += ["--store", str(source.root), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command],
        env=os.environ | {"HERE": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("no mount namespace here")
    assert "GB are needed, 0.0 GB are free" in done.stderr
    assert done.stdout == ""
