"""``sovereign scan`` over every format: what was planted is found, and in the cleaned copy it is
not there any more."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from scan_cli import alive, scan
from scan_corpus import Planted, application_log
from scan_everything import REWRITTEN, VERBATIM, everything
from scan_places import at_its_place

SOVEREIGN = Path(sys.executable).with_name("sovereign")
BYTES = 150_000


@dataclass(frozen=True)
class Scanned:
    """The corpus, the scan's folder, what it said, and its findings by file."""

    corpus: Path
    planted: dict[str, list[Planted]]
    out: Path
    said: str
    found: dict[str, list[dict[str, Any]]]


def _findings(out: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in (out / "findings.jsonl").read_text().splitlines():
        one = json.loads(row)
        found.setdefault(Path(one["file"]).name, []).append(one)
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    folder = tmp_path_factory.mktemp("everything")
    planted = everything(folder / "corpus", seed=1, size=BYTES)
    run = scan("corpus", "--out", "out", cwd=folder, timeout=240)
    assert run.returncode == 1, run.stderr
    said = run.stdout + run.stderr
    return Scanned(folder / "corpus", planted, folder / "out", said, _findings(folder / "out"))


def test_what_was_planted_is_found_in_every_format(done: Scanned) -> None:
    """As many values of each kind as were planted, in each file; no file is unread."""
    assert json.loads((done.out / "summary.json").read_text())["unread"] == []
    for name, planted in done.planted.items():
        for entity in {e for e, _ in planted}:
            wanted = {v for e, v in planted if e == entity}
            tokens = {f["token"] for f in done.found[name] if f["entity"] == entity}
            assert len(tokens) >= len(wanted), (name, entity)


def test_every_value_stands_where_the_scan_says_it_does(done: Scanned) -> None:
    """In every format: by its bytes where there are some, also inside what is compressed, archives
    and attachments; in the others by row or value, field and characters. Looked up by the libraries
    that everybody uses. Text, logs, JSON lines and CSV have bytes."""
    for name, planted in done.planted.items():
        seen = {(f["entity"], at_its_place(f)) for f in done.found[name]}
        assert set(planted) <= seen, name
    kinds = {entity for rows in done.planted.values() for entity, _ in rows}
    for name in VERBATIM:
        assert all(f["offset"] is not None for f in done.found[name] if f["entity"] in kinds), name


def test_nothing_that_was_planted_is_in_any_output(done: Scanned) -> None:
    """Findings, state, page, summary, terminal."""
    left = done.said.encode() + b"".join(p.read_bytes() for p in done.out.iterdir())
    values = [v for found in done.planted.values() for _, v in found]
    assert not [v for v in values if v.encode() in left]


def test_a_cleaned_copy_holds_nothing_that_was_planted(done: Scanned, tmp_path: Path) -> None:
    """In its own formats, which can still be read; the same value has the same surrogate in every
    file; what cannot be rewritten is said and not there; and a scan of the copy finds nothing that
    a scan of the original found."""
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(done.out / "scan.key", out)  # so that tokens are equal
    run = scan(done.corpus, "--rewrite", "copy", "--json", cwd=tmp_path, timeout=240)
    assert run.returncode == 1, run.stderr
    told = json.loads(run.stdout)
    missing = {Path(row["path"]).name for row in told["not_copied"]}
    assert missing == set(done.planted) - REWRITTEN
    copy = tmp_path / "copy" / "corpus"
    assert {p.name for p in copy.iterdir()} == REWRITTEN
    texts = {name: _shown(copy / name) for name in REWRITTEN}
    values = [v for found in done.planted.values() for _, v in found]
    assert not [(n, v) for n, text in texts.items() for v in values if v in text]
    assert not [v for v in values if v in run.stdout + run.stderr]
    assert re.search(r"US_SSN_[A-Z2-7]{8}", texts["rows.csv"])
    again = scan("copy", "--out", "out", cwd=tmp_path, timeout=240)
    assert again.returncode == 0, again.stdout + again.stderr
    before = {f["token"] for found in done.found.values() for f in found if f["verb"] != "allow"}
    rows = _findings(out)
    assert not [f for found in rows.values() for f in found if f["token"] in before]


def test_a_value_has_one_surrogate_wherever_it_stands(tmp_path: Path) -> None:
    """A log, a table and a compressed file of one person: one surrogate; and none without a key
    that is the same."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.txt").write_text("Her SSN is 512-47-3391, as before.\n")
    (logs / "b.csv").write_text("id,note\n1,her SSN is 512-47-3391\n")
    with gzip.open(logs / "c.jsonl.gz", "wt") as file:
        file.write('{"note": "her SSN is 512-47-3391", "n": 1}\n{"n": 2.50}\n')
    assert scan("logs", "--rewrite", "copy", cwd=tmp_path, timeout=240).returncode == 0
    copied = [(tmp_path / "copy" / "logs" / n) for n in ("a.txt", "b.csv", "c.jsonl.gz")]
    texts = [_shown(path) for path in copied]
    assert len({re.search(r"US_SSN_[A-Z2-7]{8}", text)[0] for text in texts}) == 1  # type: ignore[index]
    assert texts[2].endswith('{"n": 2.50}\n')
    full = scan("logs", "--rewrite", "logs", "--out", "other", cwd=tmp_path, timeout=240)
    assert full.returncode == 1
    assert "is not empty" in full.stderr


def test_a_rewrite_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Whoever worked for it is gone, too. Files that were copied are not copied again, what was
    half done is gone, and every copy is whole: byte by byte those of a rewrite that was not killed,
    once the key is the same. One with other arguments is not gone on with."""
    logs, copy = tmp_path / "logs", tmp_path / "copy" / "logs"
    logs.mkdir()
    for n in range(4):
        lines = [line for line, _ in application_log(random.Random(n), 3_000, every=40)]
        (logs / f"{n}.log").write_text("".join(lines))
    command = [SOVEREIGN, "scan", "logs", "--policy=direct", "--rewrite=copy", "--jobs=2"]
    killed = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not list(copy.glob("[0-9].log")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    until = time.monotonic() + 10
    while alive(killed.pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(killed.pid), "a worker outlived its rewrite"
    before = {p: p.stat().st_ino for p in copy.glob("[0-9].log")}
    (copy / ".7.log.0.new").write_text("half done")
    other = scan("logs", "--rewrite", "copy", "--tenant", "other", cwd=tmp_path)
    assert (other.returncode, "is not empty" in other.stderr) == (1, True)
    run = scan("logs", "--rewrite", "copy", "--json", cwd=tmp_path, timeout=240)
    assert run.returncode == 0, run.stderr
    assert sum(p.stat().st_ino == inode for p, inode in before.items()) >= len(before) - 1
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "scan" / "scan.key", tmp_path / "two")
    once = scan("logs", "--rewrite", "once", "--out", "two", "--json", cwd=tmp_path, timeout=240)
    assert json.loads(once.stdout) == json.loads(run.stdout)
    assert {p.name for p in copy.iterdir()} == {p.name for p in logs.iterdir()}
    for path in copy.iterdir():
        assert path.read_bytes() == (tmp_path / "once" / "logs" / path.name).read_bytes()


def _shown(file: Path) -> str:
    """All text of a copy, by the libraries that everybody reads it with."""
    data = file.read_bytes()
    name = file.name
    for ending, unpack in (
        (".gz", gzip.decompress),
        (".bz2", bz2.decompress),
        (".xz", lzma.decompress),
    ):
        if name.endswith(ending):
            data, name = unpack(data), name.removesuffix(ending)
    if name.endswith(".zst"):
        packed = pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd")
        data, name = packed.read(), name.removesuffix(".zst")
    if name.endswith(".parquet"):
        return str(pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist())
    if name.endswith(".sqlite"):
        assert b"Her SSN is 5" not in data  # nor in a page that is free
        database = sqlite3.connect(":memory:")
        database.deserialize(data)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return str(database.execute("SELECT * FROM bill").fetchall())
    if name == "wide.txt":
        return data.decode("utf-16")
    text = data.decode("utf-8", "replace")
    if name.endswith((".json", ".ipynb")):
        json.loads(text)
    if name.endswith(".jsonl"):
        for line in text.splitlines():
            json.loads(line)
    if name.endswith(".csv"):
        assert len({len(row) for row in csv.reader(io.StringIO(text))}) == 1
    return text
