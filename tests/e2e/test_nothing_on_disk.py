"""Every byte that a run leaves on disk, read for the identifiers that went through it."""

from __future__ import annotations

import base64
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

IDENTIFIERS = 500
EACH = 10


def _identifiers() -> list[str]:
    """Made up, with a fixed seed: numbers, addresses and names that the guard of the test knows."""
    chance, found = random.Random(500), []
    for n in range(IDENTIFIERS // 5):
        letters = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9))
        parts = (chance.randrange(100, 899), chance.randrange(10, 99), chance.randrange(1000, 9999))
        found += [
            "-".join(map(str, parts)),
            f"{letters}.{n}@clinic.example",
            f"Maria K{letters}",
            " ".join(str(chance.randrange(1000, 9999)) for _ in range(4)) + " ",
            f"Maria K{letters}{n}TOPSECRET",
        ]
    return found


def _spellings(value: str) -> list[bytes]:
    """As it is, without separators, reversed, and in the encodings that a careless writer uses."""
    bare = value.strip()
    dense = "".join(c for c in bare if c.isalnum())
    raw = bare.encode()
    words = [bare, dense, dense[::-1], raw.hex(), bare.replace("@", "%40").replace(" ", "%20")]
    return [w.lower().encode() for w in words] + [base64.b64encode(raw)[:-4].lower()]


def test_no_identifier_is_anywhere_on_disk(gateway_at: Any) -> None:
    """500 identifiers, masked, kept local, refused, cut off by a kill of the sequencer and of the
    gateway: none is in the log, its WAL, the spool, stderr, metrics, or any file beside them. Only
    the stand-ins' own records, which are not ours, are left out: the local one must have some."""
    gateway = gateway_at(tiny=True).start()
    values = _identifiers()
    lock = gateway.folder / "audit" / "sequencer.lock"
    for turn in range(0, len(values), EACH):
        text = ". ".join(values[turn : turn + EACH]) + "."
        if turn % 40 == 0:
            text = text.replace("TOPSECRET", "")
        elif turn % 40 == 10:
            text = text.replace("TOPSECRET", "") + " KEEPINSIDE"
        elif turn % 40 == 20:
            text = text.replace("TOPSECRET", "") + " EXPLODE"
        stream = turn % 30 == 0
        messages = [{"role": "user", "content": text}]
        gateway.ask({"model": "gpt-test", "messages": messages, "stream": stream})
        if turn == 250:
            os.kill(int(lock.read_text()), signal.SIGKILL)
    metrics = gateway.ask(b"", "/metrics", method="GET").body
    gateway.kill()
    time.sleep(0.2)
    read = {path: path.read_bytes() for path in _files(gateway.folder)}
    read[Path("metrics")] = metrics
    assert gateway.folder / "audit" / "log.db" in read
    assert gateway.folder / "stderr.txt" in read
    for path, data in read.items():
        low = data.lower()
        for number, value in enumerate(values):
            value = value.replace("TOPSECRET", "")
            assert not any(s in low for s in _spellings(value)), f"identifier {number} in {path}"
    kept = b"".join(r["body"] for r in gateway.local.received())
    assert any(v.replace("TOPSECRET", "").strip().encode() in kept for v in values)
    hosted = b"".join(r["body"] for r in gateway.hosted.received())
    assert b"clinic.example" not in hosted, "the test looks for what was there"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
