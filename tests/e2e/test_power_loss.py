"""Power loss: of what was not synced anything may be missing, and nothing acknowledged was not.

A sequencer runs with a library that writes down each write, sync, rename and acknowledgement in
order (``synced.c``). From any prefix of that, the folder is built that a machine would find
afterwards: synced bytes are there; of the others none, all, or some sectors. Names are there once
their folder was synced. This tests the order of our syncs; that a disk keeps what it said it kept,
nobody here can test.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sovereign.audit import record, wire
from sovereign.audit.client import Client
from sovereign.audit.log import Log
from sovereign.audit.store.folders import folder_of, numbers_in
from sovereign.audit.verify import verify

KEY, ORIGIN = bytes(range(32)), "log.example/a"
POINTS = int(os.environ.get("SOVEREIGN_POWER_LOSSES", "12"))
"""Moments at which the power goes, each with three kinds of loss."""

RECORDS, PER_LOG = 60, 40
SECTOR = 512


@dataclass
class Content:
    """A file's bytes as they are, as they were synced, and the writes in between."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    since: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, at: int, data: bytes) -> None:
        _put(self.now, at, data)
        self.since.append((at, data))

    def left(self, loss: str, chance: random.Random) -> bytes:
        """After the power went."""
        if loss == "none":
            return self.kept
        if loss == "all":
            return bytes(self.now)
        found = bytearray(self.kept)
        for at, data in self.since:
            for start in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    _put(found, at + start, data[start : start + SECTOR])
        return bytes(found)


class Disk:
    """What the calls so far made of a folder. With ``lying`` the disk forgets what it synced."""

    def __init__(self, *, lying: bool = False) -> None:
        self.now: dict[str, Content] = {}
        self.kept: dict[str, Content] = {}
        self.acknowledged: list[tuple[int, int]] = []
        self._moves: list[tuple[str, str]] = []
        self._lying = lying
        self._sent = bytearray()

    def do(self, kind: str, path: str, at: int, data: bytes) -> None:
        if kind == "write":
            self.now.setdefault(path, Content()).write(at, data)
        elif kind == "size":
            content = self.now.setdefault(path, Content())
            del content.now[at:]
            content.now.extend(bytes(at - len(content.now)))
            content.since = []  # a cut is durable, or not; here the next sync makes it so
        elif kind == "sync" and path in self.now:
            if not self._lying:
                content = self.now[path]
                content.kept, content.since = bytes(content.now), []
        elif kind == "sync":
            self._sync_names(path)
        elif kind == "name":
            self._rename(path, data.decode())
        elif kind == "gone":
            self.now.pop(path, None)
        elif kind == "sent":
            self._sent += data
            for what, payload in wire.frames(self._sent):
                if what == wire.ACK:
                    _, index, count, log = wire.unpack_ack(payload)
                    self.acknowledged += [(log, index + n) for n in range(count)]

    def build(self, folder: Path, base: str, loss: str, chance: random.Random) -> None:
        names = self.now if loss == "all" else self.kept
        for path, content in names.items():
            if path.endswith(("-shm", "log.sock", "sequencer.lock")):
                continue  # nobody reads them after a boot
            file = folder / Path(path).relative_to(base)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.left(loss, chance))
            file.chmod(0o600)

    def _rename(self, old: str, new: str) -> None:
        if old in self.now:
            self.now[new] = self.now.pop(old)
            return
        self._moves.append((old, new))
        self.now = _moved(self.now, old, new)

    def _sync_names(self, folder: str) -> None:
        for old, new in self._moves:
            if str(Path(new).parent) == folder:
                self.kept = _moved(self.kept, old, new)
        inside = {p: c for p, c in self.now.items() if str(Path(p).parent) == folder}
        others = {p: c for p, c in self.kept.items() if str(Path(p).parent) != folder}
        self.kept = others | inside


def _put(into: bytearray, at: int, data: bytes) -> None:
    into.extend(bytes(max(0, at - len(into))))
    into[at : at + len(data)] = data


def _moved(names: dict[str, Content], old: str, new: str) -> dict[str, Content]:
    return {
        new + path[len(old) :] if path.startswith(f"{old}/") else path: content
        for path, content in names.items()
    }


Call = tuple[str, str, int, bytes]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Call], Path]:
    """What a sequencer did to serve some records and a rotation, and the folder that it left."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here: apt-get install gcc")
    at = tmp_path_factory.mktemp("power")
    library, log, key = at / "synced.so", at / "log", at / "key"
    source = Path(__file__).with_name("synced.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    key.write_bytes(KEY)
    key.chmod(0o600)
    log.mkdir()
    more = {"LD_PRELOAD": str(library), "SYNCED": str(at / "calls"), "SYNCED_UNDER": str(log)}
    command = [sys.executable, "-P", "-m", "sovereign.audit.daemon", "--folder", str(log)]
    command += ["--key-file", str(key), "--origin", ORIGIN, "--rotate-records", str(PER_LOG)]
    process = subprocess.Popen(command, env=os.environ | more, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as out:
        assert b"ready" in out.readline()
        with Client.open(log, source="test") as client:
            for turn in range(RECORDS):
                client.append(record.event("log.read", command=f"r{turn}"))
        process.terminate()
        process.wait(timeout=30)
    lines = (line.split("\t") for line in (at / "calls").read_text().splitlines())
    found = [(kind, path, int(n), bytes.fromhex(data)) for kind, path, n, data in lines]
    return found, log


def stored(chain: Path) -> dict[tuple[int, int], bytes]:
    found = {}
    for number in numbers_in(chain):
        with contextlib.closing(sqlite3.connect(folder_of(chain, number) / "log.db")) as db:
            rows = db.execute("SELECT idx, bytes FROM record").fetchall()
        found.update({(number, index): data for index, data in rows})
    return found


def losses(calls: list[Call], tmp_path: Path, base: Path, *, lying: bool) -> Iterator[set[int]]:
    """Cut the power at many moments; for each, how many acknowledged records are gone. A log that
    does not open has lost all of them."""
    chance = random.Random()
    whole = stored(base)
    points = sorted(chance.sample(range(len(calls)), POINTS))
    disk, done = Disk(lying=lying), 0
    for point in [*points, len(calls)]:
        for call in calls[done:point]:
            disk.do(*call)
        done = point
        for loss in ("none", "all", "some"):
            folder = tmp_path / f"{point}-{loss}"
            folder.mkdir()
            disk.build(folder, str(base), loss, chance)
            promised = set(disk.acknowledged)
            if lying and loss == "all":
                continue
            try:
                with Log.open(folder, key=KEY, origin=ORIGIN, source="after"):
                    pass
                report = verify(folder)
                assert report.ok, (point, loss, [str(p) for p in report.problems])
                there = stored(folder)
            except Exception:
                if not lying:
                    raise
                there = {}
            yield {index for _, index in promised if there.get((_, index)) != whole[(_, index)]}
            shutil.rmtree(folder)


def test_nothing_acknowledged_needs_what_was_not_synced(
    calls: tuple[list[Call], Path], tmp_path: Path
) -> None:
    """At any moment, also within a rotation: the log opens, verifies, and has what it promised."""
    did, base = calls
    kinds = {kind for kind, *_ in did}
    assert kinds >= {"write", "sync", "name", "sent"}
    assert len(numbers_in(base)) == 2
    assert all(not lost for lost in losses(did, tmp_path, base, lying=False))


def test_a_disk_that_does_not_sync_is_seen_by_this_test(
    calls: tuple[list[Call], Path], tmp_path: Path
) -> None:
    """The other way round: without the syncs, acknowledged records are gone."""
    did, base = calls
    assert any(lost for lost in losses(did, tmp_path, base, lying=True))
