"""`kill -9` of both sides of an air gap at random moments: the same bytes come out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from sovereign.weights.store import Store

KILLS = 20  # for each side
SIZE, PART = 24_000_000, 2_000_000


def _store(root: Path) -> Store:
    source = root / "source"
    source.mkdir(parents=True)
    (source / "config.json").write_text("{}")
    body = random.Random(1).randbytes(SIZE)
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (SIZE, SIZE)
    (source / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
    store = Store(root / "store", root / "store" / "sovereign.lock")
    store.add_folder(source, name="big", licence="MIT")
    return store


def _killed_while(command: list[str], folder: Path, rng: random.Random) -> int:
    """Kills the command when its folder has grown to each of `KILLS` random sizes, and then lets it
    end. How often it was killed: less often if it was done first."""
    moments = sorted(rng.uniform(0.0, 0.9) * SIZE for _ in range(KILLS))
    for times in range(KILLS + 1):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None:
            if times < KILLS and _size(folder) >= moments[times]:
                process.kill()
                process.communicate()
                break
            time.sleep(0.0005)
        else:
            assert process.stderr is not None
            assert process.returncode == 0, process.stderr.read()
            return times
    raise AssertionError("it never ended")


def _size(folder: Path) -> int:
    """Bytes in it now; what vanishes meanwhile counts as nothing."""
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(here) / name).lstat().st_size
    return total


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.name.startswith(".")
    }


def test_both_sides_killed_at_random_moments_carry_the_same_bytes(tmp_path: Path) -> None:
    """Each goes on with the same command; what comes out is what an undisturbed run makes."""
    rng = random.Random(7)
    store = _store(tmp_path / "out")
    sovereign = [sys.executable, "-m", "sovereign", "weights"]
    pack = [*sovereign, "bundle", "big", "--store", str(store.root), "--part", str(PART), "--out"]
    subprocess.run([*pack, str(tmp_path / "calm")], check=True, capture_output=True)
    packed = _killed_while([*pack, str(tmp_path / "bundle")], tmp_path / "bundle", rng)
    assert _digest(tmp_path / "bundle") == _digest(tmp_path / "calm")

    inside = tmp_path / "in"
    take = [*sovereign, "unbundle", str(tmp_path / "bundle"), "--unsigned", "--store", str(inside)]
    taken = _killed_while(take, inside, rng)
    there = Store(inside, inside / "sovereign.lock")
    there.verify("big")
    assert there.entry("big").digest == store.entry("big").digest
    print(f"bundle killed {packed} times, unbundle {taken}")
    assert packed
    assert taken
