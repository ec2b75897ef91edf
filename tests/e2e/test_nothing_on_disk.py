"""Every byte that a run leaves on disk, read for the identifiers that went through it."""

from __future__ import annotations

import base64
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres import Cluster

IDENTIFIERS = 500
EACH = 10

START = 8
"""A spelling is looked for by so many of its first bytes, then whole. None is shorter."""

_ZEROS = re.compile(rb"\0{16,}")


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


class Search:
    """Finds any spelling of any of ``values`` in one pass over the bytes."""

    def __init__(self, values: list[str]) -> None:
        self._by_start: dict[bytes, list[tuple[int, bytes]]] = {}
        for number, value in enumerate(values):
            for spelling in _spellings(value.replace("TOPSECRET", "")):
                assert len(spelling) >= START
                self._by_start.setdefault(spelling[:START], []).append((number, spelling))

    def found(self, data: bytes) -> Iterator[int]:
        """The numbers of the values in ``data``. No spelling has a zero byte, so that long runs of
        them can be left out."""
        low, starts = _ZEROS.sub(b"\0", data).lower(), self._by_start
        for at in range(len(low) - START + 1):
            for number, spelling in starts.get(low[at : at + START], ()):
                if low.startswith(spelling, at):
                    yield number


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_no_identifier_is_anywhere_on_disk(
    gateway_at: Any, request: pytest.FixtureRequest, store: str
) -> None:
    """500 identifiers, masked, kept local, refused, cut off by a kill of the sequencer, of the
    gateway and of the database: none is in the log, its WAL, the spool, stderr, metrics, temporary
    files, the database's whole folder, or any file beside them. Only the stand-ins' own records,
    which are not ours, are left out: the local one must have some."""
    cluster: Cluster | None = None
    audit = ""
    if store == "postgresql":
        cluster = request.getfixturevalue("cluster")
        # The most talkative server: each statement with its values, in its own log.
        cluster.psql("ALTER SYSTEM SET log_statement = 'all'")
        cluster.psql("SELECT pg_reload_conf()")
        audit = f'store = "{cluster.url}"\npatience_s = 1\n'
    gateway = gateway_at(tiny=True, audit=audit).start()
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
        if cluster is not None and turn == 200:
            cluster.stop("immediate")  # this request finds no database
        gateway.ask({"model": "gpt-test", "messages": messages, "stream": stream})
        if cluster is not None and turn == 200:
            cluster.start()
            _wait_until_ready(gateway)
        if turn == 250:
            os.kill(int(lock.read_text()), signal.SIGKILL)
    metrics = gateway.ask(b"", "/metrics", method="GET").body
    gateway.kill()
    time.sleep(0.2)
    read = {str(path): path.read_bytes() for path in _files(gateway.folder)}
    read["metrics"] = metrics
    assert str(gateway.folder / "stderr.txt") in read
    if cluster is None:
        assert str(gateway.folder / "audit" / "log.db") in read
    else:
        read |= _database(cluster)
    search, seen = Search(values), set[bytes]()
    for name, data in read.items():
        if data in seen:
            continue  # a new server has three copies of many files
        seen.add(data)
        assert not set(search.found(data)), f"identifiers in {name}"
    kept = b"".join(r["body"] for r in gateway.local.received())
    assert len(set(search.found(kept))) > 50, "the search finds what is there"
    hosted = b"".join(r["body"] for r in gateway.hosted.received())
    assert b"clinic.example" not in hosted, "the test looks for what was there"


def _wait_until_ready(gateway: Any) -> None:
    until = time.monotonic() + 20
    while gateway.ask(b"", "/readyz", method="GET", key=None).status != 200:
        assert time.monotonic() < until, "the database's return is enough"
        time.sleep(0.05)


def _database(cluster: Cluster) -> dict[str, bytes]:
    """What the server stores, as rows (on disk a long one is compressed), and every file of its
    folder: as a crash leaves them, and as an orderly end does."""
    with psycopg.connect(cluster.url) as db:
        rows = db.execute("SELECT bytes FROM sovereign_audit.record_1 ORDER BY idx").fetchall()
    read = {"rows": b"\n".join(data for (data,) in rows)}
    assert read["rows"].count(b'"type":"request.intent"') > 10
    cluster.stop("immediate")
    read |= {f"{path} after a crash": path.read_bytes() for path in _files(cluster.folder)}
    cluster.start()
    cluster.stop()
    read |= {str(path): path.read_bytes() for path in _files(cluster.folder)}
    for part in ("/data/base/", "/data/pg_wal/"):
        there = b"".join(data for name, data in read.items() if part in name)
        assert b'"team":"cardiology"' in there, "what the log says is found in its files"
    assert b"INSERT INTO" in read[str(cluster.folder / "server.log")]
    return read


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
