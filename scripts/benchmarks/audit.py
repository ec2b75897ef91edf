"""What the audit log costs: acknowledged records a second, latency of one append, verification.

    scripts/bench audit [--seconds 4] [--callers 64] [--folder DIR]
    scripts/bench audit --search 1000000

The yardstick is a plain file of JSON lines, fsynced one by one, on the same disk in the same run.
Figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from sovereign.audit import record
from sovereign.audit.awaiting import durable
from sovereign.audit.client import Client
from sovereign.audit.log import Log
from sovereign.audit.note import Signer
from sovereign.audit.place import Place
from sovereign.audit.search import search_chain
from sovereign.audit.starting import Starter
from sovereign.audit.tokens import TokenKey, Tokens
from sovereign.audit.verify import verify
from sovereign.types import Action, Destination, Verdict

KEY = bytes(range(32))
ORIGIN = "bench.example/a"
VERDICT = Verdict(
    Action.PSEUDONYMIZE,
    Destination("openai", "hosted"),
    "a" * 64,
    (),
    {"PERSON": {"pseudonymize": 2}, "US_SSN": {"mask": 1}},
)
PROCESSES = 4
VERIFIED = 400_000


def intent(i: int, tokens: Tokens | None = None) -> dict[str, object]:
    return record.intent(
        request=f"req_{i:032x}",
        team="oncology",
        key_id="k_0123456789abcdef",
        endpoint="openai.chat",
        model="gpt-5",
        destination=VERDICT.destination,
        verdict=VERDICT,
        guard_build="b" * 64,
        body_sha256="c" * 64,
        bytes_out=1234,
        stream=False,
        tokens=tokens,
    )


def begin(folder: Path) -> Log:
    return Log.open(folder, key=KEY, origin=ORIGIN, source="bench")


def for_a_while(seconds: float, threads: int, step: Callable[[int], object]) -> float:
    """Calls of ``step`` a second, by ``threads`` threads together."""
    counts = [0] * threads
    start = time.perf_counter()

    def work(me: int) -> None:
        while time.perf_counter() - start < seconds:
            step(counts[me])
            counts[me] += 1

    workers = [threading.Thread(target=work, args=(t,)) for t in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)


def plain(folder: Path, seconds: float) -> float:
    with (folder / "plain.jsonl").open("wb", buffering=0) as file:

        def step(i: int) -> None:
            file.write(json.dumps(intent(i)).encode() + b"\n")
            os.fsync(file.fileno())

        return for_a_while(seconds, 1, step)


def latencies(log: Client, rate: float, seconds: float) -> list[float]:
    """Milliseconds of single appends that come at ``rate`` a second."""
    took = []
    for i in range(int(rate * seconds)):
        start = time.perf_counter()
        log.append(intent(i))
        took.append((time.perf_counter() - start) * 1e3)
        time.sleep(max(0.0, 1 / rate - took[-1] / 1e3))
    return took


def sequencer(folder: Path) -> Starter:
    """The sequencer of the log in ``folder``, and its key where it finds it."""
    key = folder.parent / "key"
    if not key.exists():
        key.write_bytes(KEY)
        key.chmod(0o600)
    return Starter(Place(folder), key_file=key, origin=ORIGIN)


def several(folder: Path, seconds: float, callers: int, *, threads: bool) -> float:
    """Appends a second by ``callers`` in each of several processes, to one sequencer: what they
    were acknowledged together, over the time that they took together."""
    with Client.open(folder, source="first", starter=sequencer(folder)):
        command = [sys.executable, __file__, "--only", "--seconds", str(seconds)]
        command += ["--callers", str(callers), "--folder", str(folder)]
        command += ["--threads"] if threads else []
        pipe = subprocess.PIPE
        children = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(PROCESSES)]
        for child in children:  # all are connected
            assert child.stdout is not None
            child.stdout.readline()
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            child.stdin.flush()
        said = [child.communicate()[0].split() for child in children]
    if any(child.returncode for child in children):
        sys.exit("a process of the measurement failed")
    counts, begins, ends = zip(*((float(x) for x in one) for one in said), strict=True)
    return sum(counts) / (max(ends) - min(begins))


def one_of_several(folder: Path, seconds: float, callers: int, *, threads: bool) -> None:
    with Client.open(folder, source="bench") as log:
        print("open", flush=True)
        sys.stdin.readline()
        begun = time.monotonic()
        if threads:
            rate = for_a_while(seconds, callers, lambda i: log.append(intent(i)))
        else:
            rate = uvloop.run(by_coroutines(log, seconds, callers))
        took = time.monotonic() - begun
        print(rate * took, begun, begun + took)


async def by_coroutines(log: Client, seconds: float, callers: int) -> float:
    """Appends a second by ``callers`` coroutines: how a gateway appends."""
    counts = [0] * callers
    start = time.perf_counter()

    async def work(me: int) -> None:
        while time.perf_counter() - start < seconds:
            await durable(log, intent(counts[me]))
            counts[me] += 1

    await asyncio.gather(*map(work, range(callers)))
    return sum(counts) / (time.perf_counter() - start)


def searched(folder: Path, size: int) -> None:
    """Seconds until one value is found among ``size`` decisions of two tokens each: with an index
    that has yet to read them, and with one that has."""
    key = TokenKey.of(KEY)
    with begin(folder) as log:
        for at in range(0, size, 20_000):
            waits = []
            for i in range(at, min(at + 20_000, size)):
                values = [("US_SSN", f"{i:09}"), ("PERSON", f"Person {i % 1000}")]
                waits.append(log.submit(intent(i, key.tokens("oncology", values, 1_790_000_000))))
            for wait in waits:
                wait.result()
    verifier = Signer.from_seed(ORIGIN, KEY).verifier
    for how in ("first, the index is filled", "again"):
        start = time.perf_counter()
        found = search_chain(folder, verifier, key, f"{size // 2:09}")
        took = time.perf_counter() - start
        if len(found.found) != 1 or not found.complete:
            sys.exit("the value was not found once, over all")
        print(f"search over {size:,}: {how:27} {took:10.2f} s")
    start = time.perf_counter()
    if search_chain(folder, verifier, key, "not in it").found:
        sys.exit("what is not there was found")
    print(
        f"search over {size:,}: a value that is not there   {time.perf_counter() - start:10.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--threads", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--search", type=int, default=0, help="decisions to search through")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        one_of_several(args.folder, args.seconds, args.callers, threads=args.threads)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as made:
        folder = Path(made)
        if args.search:
            searched(folder / "searched", args.search)
            return
        base = plain(folder, args.seconds)
        print(f"plain JSON lines, fsynced one by one   {base:10,.0f} records/s   1.0x")
        with begin(folder / "log") as log:
            many = for_a_while(args.seconds, args.callers, lambda i: log.append(intent(i)))
        starter = sequencer(folder / "single")
        with Client.open(folder / "single", source="bench", starter=starter) as client:
            took = latencies(client, 200, args.seconds)
        each = args.callers // PROCESSES
        shared = several(folder / "shared", args.seconds, each, threads=False)
        threaded = several(folder / "threaded", args.seconds, each, threads=True)
        print(
            f"log in one process, {args.callers} threads         {many:10,.0f} records/s "
            f"{many / base:5.1f}x"
        )
        for how, rate in (("coroutines", shared), ("threads   ", threaded)):
            print(
                f"sequencer, {args.callers} {how} in {PROCESSES} processes{rate:10,.0f} "
                f"records/s {rate / base:5.1f}x"
            )
        p99 = statistics.quantiles(took, n=100)[98]
        print(
            f"one append at 200/s, by the sequencer  p50 {statistics.median(took):.2f} ms, "
            f"p99 {p99:.2f} ms"
        )
        while (size := verify(folder / "log").size) < VERIFIED:  # long enough to be a rate
            with begin(folder / "log") as log:
                for waits in [log.submit(intent(i)) for i in range(min(VERIFIED - size, 50_000))]:
                    waits.result()
        for jobs in (1, 2):
            start = time.perf_counter()
            report = verify(folder / "log", jobs=jobs)
            rate = report.size / (time.perf_counter() - start)
            for problem in (*report.problems, *verify(folder / "shared").problems):
                sys.exit(f"the log that was measured is not whole: {problem}")
            print(
                f"verify, {jobs} process{'es' if jobs > 1 else '  '}                    "
                f"{rate:10,.0f} records/s ({report.size:,} records)"
            )
        start = time.perf_counter()
        begin(folder / "log").close()
        print(f"open and close again                   {time.perf_counter() - start:10.2f} s")


if __name__ == "__main__":
    main()
