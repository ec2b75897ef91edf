"""``sovereign scan`` as a process: what is planted is found at its place, whatever happens to the
scan, and nothing of it is in anything that is written or said."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres import Cluster
from scan_cli import SOVEREIGN, alive, scan
from scan_corpus import application_log, prose, value


@dataclass(frozen=True)
class Corpus:
    """A folder of logs, and each planted (entity, value) by file."""

    folder: Path
    planted: dict[str, list[tuple[str, str]]]

    @property
    def values(self) -> list[str]:
        return [v for found in self.planted.values() for _, v in found]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    planted: dict[str, list[tuple[str, str]]] = {}
    for name, seed in (("app.log", 1), ("other.log", 2)):
        rows = list(application_log(random.Random(seed), 4_000, every=50))
        (folder / name).write_text("".join(line for line, _ in rows))
        planted[name] = [p for _, p in rows if p]
    rows = list(prose(random.Random(3), 600, every=20))
    with gzip.open(folder / "minutes.txt.gz", "wt") as file:
        file.writelines(line for line, _ in rows)
    planted["minutes.txt.gz"] = [p for _, p in rows if p]
    rng = random.Random(4)
    calls = []
    for index in range(60):
        entity, secret = "US_SSN", value("US_SSN", rng)
        planted.setdefault("calls.jsonl", []).append((entity, secret))
        asked = [{"role": "user", "content": f"Whose SSN is {secret}?"}]
        calls.append(
            {
                "url": "https://api.openai.com/v1/chat/completions",
                "request": {"model": "gpt-4o", "messages": asked},
                "response": {"choices": [{"message": {"content": f"I cannot tell ({index})."}}]},
            }
        )
    (folder / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    (folder / "noise.bin").write_bytes(bytes(rng.randrange(256) for _ in range(3_000)))
    return Corpus(folder, planted)


def _findings(out: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (out / "findings.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def done(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One scan of it all: its folder, and what it said."""
    folder = tmp_path_factory.mktemp("scan")
    run = scan(corpus.folder, "--out", "out", cwd=folder)
    assert run.returncode == 1, run.stderr
    return folder / "out", run.stdout + run.stderr


def test_what_was_planted_is_found_at_its_place(corpus: Corpus, done: tuple[Path, str]) -> None:
    """In every file; and where the bytes stand verbatim, they stand where it says."""
    found = _findings(done[0])
    for name, planted in corpus.planted.items():
        here = [f for f in found if Path(f["file"]).name == name]
        assert len({f["token"] for f in here}) >= len(set(planted))
        if name.endswith(".log"):
            raw = (corpus.folder / name).read_bytes()
            seen = {
                (f["entity"], raw[f["offset"] : f["offset"] + f["length"]].decode()) for f in here
            }
            assert set(planted) <= seen
            lines = raw.split(b"\n")
            for f in here:
                assert raw[f["offset"] : f["offset"] + f["length"]] in lines[f["number"] - 1]


def test_what_was_sent_is_told_apart_from_what_is_stored(
    corpus: Corpus, done: tuple[Path, str]
) -> None:
    """With the host; and what could not be read is said, not passed over."""
    calls = [f for f in _findings(done[0]) if f["file"].endswith("calls.jsonl")]
    ssns = [f for f in calls if f["entity"] == "US_SSN"]
    assert len(ssns) == 60
    assert {(f["direction"], f["host"]) for f in ssns} == {("sent", "api.openai.com")}
    told = json.loads((done[0] / "summary.json").read_text())
    assert [Path(u["path"]).name for u in told["unread"]] == ["noise.bin"]
    assert "sent to api.openai.com" in done[1]
    assert "noise.bin" in done[1]


def test_nothing_that_was_planted_is_in_what_a_scan_leaves_or_says(
    corpus: Corpus, done: tuple[Path, str]
) -> None:
    """State, findings, summary, terminal: tokens and places only."""
    left = done[1].encode() + b"".join(p.read_bytes() for p in done[0].iterdir())
    assert not [v for v in corpus.values if v.encode() in left]


def test_a_scan_that_is_killed_five_times_finds_the_same(
    corpus: Corpus, done: tuple[Path, str], tmp_path: Path
) -> None:
    """SIGKILL of the command and whatever of its workers live, at five moments."""
    rng = random.Random(6)
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(done[0] / "scan.key", out)  # so that tokens are equal
    command = [SOVEREIGN, "scan", corpus.folder, "--out", out, "--policy", "direct"]
    for _ in range(5):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(rng.uniform(0.5, 2.5))
        process.kill()
        process.wait(timeout=10)
        until = time.monotonic() + 10
        while alive(process.pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert not alive(process.pid), "a worker outlived its scan"
    assert scan(corpus.folder, "--out", "out", cwd=tmp_path).returncode == 1
    assert _findings(out) == _findings(done[0])


def test_a_worker_that_dies_takes_its_file_with_it_and_no_other(
    corpus: Corpus, done: tuple[Path, str], tmp_path: Path
) -> None:
    """The file is said to be unread; the others are read."""
    out = tmp_path / "out"
    command = [SOVEREIGN, "scan", corpus.folder, "--out", out, "--policy", "direct", "--jobs", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    until = time.monotonic() + 30
    killed = False
    while not killed and time.monotonic() < until and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            if _reads(int(child), corpus.folder):
                os.kill(int(child), signal.SIGKILL)
                killed = True
        time.sleep(0.01)
    said, _ = process.communicate(timeout=60)
    assert killed
    assert "the process that read it died" in said
    assert len({f["file"] for f in _findings(out)}) >= 3


def _reads(pid: int, folder: Path) -> bool:
    """Whether the process has a file of ``folder`` open."""
    try:
        return any(f.readlink().is_relative_to(folder) for f in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_a_log_that_grows_is_read_on(corpus: Corpus, tmp_path: Path) -> None:
    """From its last part on; the same as if it had been read at once."""
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    text = (corpus.folder / "app.log").read_text()
    log.write_text(text[: len(text) // 2])
    assert scan("logs", "--out", "out", cwd=tmp_path).returncode == 1
    with log.open("a") as file:
        file.write(text[len(text) // 2 :])
    run = scan("logs", "--out", "out", "--json", cwd=tmp_path)
    grown = {(f["entity"], f["offset"], f["length"]) for f in _findings(tmp_path / "out")}
    assert json.loads(run.stdout)["totals"]["characters"] < len(text) * 1.1
    at_once = tmp_path / "at-once"
    assert scan("logs", "--out", at_once, cwd=tmp_path).returncode == 1
    once = {(f["entity"], f["offset"], f["length"]) for f in _findings(at_once)}
    assert grown == once


def test_a_baseline_leaves_what_is_new(
    corpus: Corpus, done: tuple[Path, str], tmp_path: Path
) -> None:
    """Exit status 0 if nothing is; with another value, 1."""
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(done[0] / "scan.key", out)
    baseline = ("--baseline", done[0] / "findings.jsonl")
    assert scan(corpus.folder, "--out", "out", *baseline, cwd=tmp_path).returncode == 0
    (tmp_path / "new.txt").write_text("Her SSN is 512-47-3391.\n")
    run = scan(corpus.folder, "new.txt", "--out", "out", *baseline, cwd=tmp_path)
    assert run.returncode == 1
    assert "1 findings are not in the baseline" in run.stdout


def test_mistakes_are_said_before_anything_is_read(corpus: Corpus, tmp_path: Path) -> None:
    """One line each."""
    for arguments, words in (
        (("--sample", "nothing"), "no share"),
        (("--sample", "200%"), "no share"),
    ):
        run = scan(corpus.folder, *arguments, cwd=tmp_path)
        assert run.returncode == 1
        assert words in run.stderr
    run = subprocess.run(
        [SOVEREIGN, "scan", corpus.folder],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no --policy" in run.stderr


def test_a_path_that_is_not_there_does_not_pass_for_a_clean_one(tmp_path: Path) -> None:
    """A mistyped path is wrong usage, not "nothing found", and what an earlier scan found stays."""
    (tmp_path / "a.log").write_text("login of mary.keller@klinik.example, SSN 536-22-8746\n")
    assert scan("a.log", cwd=tmp_path).returncode == 1
    found = (tmp_path / "scan" / "findings.jsonl").read_bytes()
    assert found
    for paths in (("b.log",), ("a.log", "b.log"), ("mysql://db/x",)):
        run = scan(*paths, cwd=tmp_path)
        assert run.returncode == 2
        assert f"'PATHS': {paths[-1]!r} does not exist" in run.stderr
        assert (tmp_path / "scan" / "findings.jsonl").read_bytes() == found


def test_a_sample_says_between_what_the_whole_lies(corpus: Corpus, tmp_path: Path) -> None:
    """Of a third of the records."""
    run = scan(corpus.folder, "--sample", "30%", "--json", cwd=tmp_path)
    told = json.loads(run.stdout)
    totals = told["totals"]
    assert 0 < totals["looked"] < totals["characters"]
    for entity in told["entities"].values():
        between = entity["estimate"]
        assert entity["findings"] <= between["low"] <= between["count"] <= between["high"]
    with sqlite3.connect(tmp_path / "scan" / "scan.db") as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'sample'").fetchone() == ("0.3",)


def test_a_database_is_read_table_by_table(cluster: Cluster, tmp_path: Path) -> None:
    """A real server, in a transaction that cannot write; no value, no password is left behind."""
    with psycopg.connect(cluster.url, autocommit=True) as db:
        db.execute("CREATE TABLE call (id int PRIMARY KEY, prompt text)")
        for number in range(40):
            prompt = f"Her SSN is 512-47-{3000 + number}." if number % 10 == 9 else "Good morning."
            db.execute("INSERT INTO call VALUES (%s, %s)", (number, prompt))
        db.execute("CREATE TABLE empty (id int)")
    run = scan(cluster.url, "--out", "out", cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    found = _findings(tmp_path / "out")
    assert [(f["number"], f["unit"], f["field"]) for f in found if f["entity"] == "US_SSN"] == [
        (n, "row", "prompt") for n in (10, 20, 30, 40)
    ]
    assert {f["file"].rpartition("/")[2] for f in found} == {"public.call"}
    left = run.stdout + run.stderr + (tmp_path / "out" / "findings.jsonl").read_text()
    assert "512-47" not in left
    gone = scan("postgresql://nobody:sesame@127.0.0.1:9/none", "--out", "other", cwd=tmp_path)
    assert gone.returncode == 1
    assert "a database cannot be read" in gone.stderr
    assert "sesame" not in gone.stderr
