"""What weights cost: verification a core, a pull beside snapshot_download, a bundle beside cp.

    scripts/bench weights [--mb 1000] [--rounds 3] [--folder DIR]

One server on loopback sends to both; each starts as a process of its own with an empty folder, in
turns. The pull hashes, checks and syncs what it fetches to the disk; snapshot_download does none of
it, so it is also timed with a `sync` behind it. A bundle reads the same bytes as `cp` does, hashes
each twice and syncs its parts, so cp is timed with and without a `sync` too. Figures are printed,
never asserted.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sovereign.weights.store import Store

ROOT = Path(__file__).resolve().parents[2]
FILES = 4
PEER = """
import sys
from huggingface_hub import snapshot_download
snapshot_download("clinic/tiny", revision=sys.argv[1], local_dir=sys.argv[2])
if sys.argv[3:]:
    import os
    os.sync()
"""
COMMIT = "c0ffee" + "0" * 34


def make(folder: Path, size: int) -> None:
    """A model of ``size`` bytes in :data:`FILES` safetensors of noise."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    each = size // FILES
    block = random.Random(1).randbytes(1 << 20)
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (each, each)
    for n in range(1, FILES + 1):
        with (folder / f"model-{n:05}-of-{FILES:05}.safetensors").open("wb") as out:
            out.write(len(header).to_bytes(8, "little") + header)
            for at in range(0, each, len(block)):
                out.write(block[: each - at])


def timed(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def verification(store: Store, size: int, rounds: int) -> None:
    """Warm: the files are in the page cache, so it is the hash that is measured."""
    store.verify("tiny")
    walls, cpus = [], []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        store.verify("tiny")
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"verify   {size / min(walls) / 1e9:5.2f} GB/s on {os.cpu_count()} cores", end="")
    print(f"   {size / min(cpus) / 1e9:5.2f} GB/s per core (CPU time)")


def pulling(source: Path, work: Path, size: int, rounds: int) -> None:
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests/support/loopback_hub.py", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    env = os.environ | {
        "HF_ENDPOINT": server.stdout.readline().strip(),
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "",
        "HF_HOME": str(work / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    }
    target = work / "target"
    ours = [sys.executable, "-m", "sovereign", "weights", "pull", f"clinic/tiny@{COMMIT}"]
    theirs = [sys.executable, "-c", PEER, COMMIT, str(target)]
    commands = {
        "pull": [*ours, "--store", str(target)],
        "snapshot_download": theirs,
        "snapshot_download, sync": [*theirs, "sync"],
    }
    try:
        walls = in_turns(commands, env, target, size, rounds)
    finally:
        server.communicate()
    for name in list(commands)[1:]:
        print(f"pull takes {walls['pull'] / walls[name]:.2f} of the time of {name}")


def bundling(store: Store, work: Path, size: int, rounds: int) -> None:
    """Both read from the page cache and write to the same disk. No reflink: a courier's disk is
    another one."""
    target = work / "carried"
    ours = [sys.executable, "-m", "sovereign", "weights", "bundle", "tiny"]
    copy = ["cp", "-r", "--reflink=never", str(store.folder(store.entry("tiny"))), str(target)]
    commands = {
        "bundle": [*ours, "--store", str(store.root), "--out", str(target)],
        "cp": copy,
        "cp, sync": ["sh", "-ec", '"$@"; sync', "sh", *copy],
    }
    walls = in_turns(commands, dict(os.environ), target, size, rounds)
    for name in list(commands)[1:]:
        print(f"bundle has {walls[name] / walls['bundle']:.0%} of the speed of {name}")


def in_turns(
    commands: dict[str, list[str]], env: dict[str, str], target: Path, size: int, rounds: int
) -> dict[str, float]:
    """Each command's median of wall seconds; each starts without ``target``, on an idle disk."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            shutil.rmtree(target, ignore_errors=True)
            os.sync()
            found[name].append(timed(command, env))
    walls = {name: statistics.median(w for w, _ in runs) for name, runs in found.items()}
    for name, runs in found.items():
        cpu = statistics.median(c for _, c in runs)
        speed = size / walls[name] / 1e9
        print(f"{name:24} {walls[name]:6.2f} s  {speed:5.2f} GB/s  {cpu:5.2f} CPU s")
    return walls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    size = args.mb * 1_000_000
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        work = Path(name)
        make(work / "source", size)
        store = Store(work / "store", work / "store" / "sovereign.lock")
        store.add_folder(work / "source", name="tiny")
        verification(store, size, args.rounds)
        bundling(store, work, size, args.rounds)
        pulling(work / "source", work, size, args.rounds)


if __name__ == "__main__":
    main()
