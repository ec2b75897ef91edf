"""A pull that is killed goes on where it was: the same bytes in the end, and none fetched twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from loopback_hub import COMMIT, PIECE, REPO, Hub, serving

from sovereign.weights.store import Store

KILLS = 20


def tensors(size: int, seed: int) -> bytes:
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    return len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(size)


def test_twenty_kills_and_no_byte_twice_but_those_in_flight(tmp_path: Path) -> None:
    """SIGKILL at twenty random moments: most by bytes sent, some by the clock, so that start and
    end of the process are hit too. The next pull asks from the byte where the disk ends: what was
    sent twice lay in the sockets. The last one ends with what an unbroken one gives."""
    dice = random.Random(7)
    files = {f"model-{n}-of-3.safetensors": tensors(5_000_000, n) for n in (1, 2, 3)}
    files |= {"config.json": b"{}", "tokenizer.json": b'{"version": "1.0"}'}
    total = sum(map(len, files.values()))
    hub = Hub(files, lfs={n for n in files if n.endswith(".safetensors")}, pause=0.02, buffer=PIECE)
    store = Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")

    def start() -> subprocess.Popen[bytes]:
        env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
        command = [sys.executable, "-m", "sovereign", "weights", "pull", f"{REPO}@{COMMIT}"]
        return subprocess.Popen(
            [*command, "--store", store.root], env=env, stderr=subprocess.PIPE, stdout=-1
        )

    kept = {0}
    with serving(hub):
        moments = sorted(dice.uniform(0.0, 0.95) * total for _ in range(KILLS - 5))
        for moment in [*moments, *(None for _ in range(5))]:
            process = start()
            if moment is None:
                time.sleep(dice.uniform(0.0, 1.0))
            while moment is not None and hub.served < moment and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            process.communicate()
            assert process.returncode in (-signal.SIGKILL, 0)
            kept |= {p.stat().st_size for p in store.root.rglob("*") if p.is_file()}
        process = start()
        _, err = process.communicate()
        assert process.returncode == 0, err
    folder = store.get("tiny")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    assert sorted(p.name for p in store.root.iterdir()) == [
        ".lock",
        ".staging",
        "sovereign.lock",
        "tiny",
    ]
    assert list((store.root / ".staging").iterdir()) == []

    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for path, first, sent in hub.sent:
        spans[path].append((first, first + sent))
    for path, data in files.items():
        if len(data) < PIECE:
            continue
        reached = 0
        for first, end in sorted(spans[path]):
            assert first <= reached, f"{path}: a hole"
            assert first in kept, f"{path}: asked from {first}, where no kill had left it"
            reached = max(reached, end)
        assert reached == len(data)
    print(f"{hub.served} bytes served for {total}: {hub.served / total:.3f}")
