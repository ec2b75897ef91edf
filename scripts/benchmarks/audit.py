"""What the audit log costs: acknowledged records a second, latency of one append, verification.

    scripts/bench audit [--seconds 4] [--threads 64] [--folder DIR]

The yardstick is a plain file of JSON lines, fsynced one by one, on the same disk in the same run.
Figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
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

from sovereign.audit import record
from sovereign.audit.log import Log
from sovereign.audit.verify import verify
from sovereign.types import Action, Destination, Verdict

KEY = bytes(range(32))
VERDICT = Verdict(
    Action.PSEUDONYMIZE,
    Destination("openai", "hosted"),
    "a" * 64,
    (),
    {"PERSON": {"pseudonymize": 2}, "US_SSN": {"mask": 1}},
)
PROCESSES = 4


def intent(i: int) -> dict[str, object]:
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
    )


def begin(folder: Path) -> Log:
    return Log.open(folder, key=KEY, origin="bench.example/a", source="bench")


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


def latencies(log: Log, rate: float, seconds: float) -> list[float]:
    """Milliseconds of single appends that come at ``rate`` a second."""
    took = []
    for i in range(int(rate * seconds)):
        start = time.perf_counter()
        log.append(intent(i))
        took.append((time.perf_counter() - start) * 1e3)
        time.sleep(max(0.0, 1 / rate - took[-1] / 1e3))
    return took


def several(folder: Path, seconds: float, threads: int) -> float:
    """The same from several processes on one log: the sum of their rates."""
    command = [sys.executable, __file__, "--only", "--seconds", str(seconds)]
    command += ["--threads", str(threads), "--folder", str(folder)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    rates = [float(child.communicate()[0]) for child in children]
    if any(child.returncode for child in children):
        sys.exit("a process of the measurement failed")
    return sum(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure")
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        with begin(args.folder) as log:
            print(for_a_while(args.seconds, args.threads, lambda i: log.append(intent(i))))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as made:
        folder = Path(made)
        base = plain(folder, args.seconds)
        print(f"plain JSON lines, fsynced one by one   {base:10,.0f} records/s   1.0x")
        with begin(folder / "log") as log:
            took = latencies(log, 200, args.seconds)
            many = for_a_while(args.seconds, args.threads, lambda i: log.append(intent(i)))
        shared = several(folder / "shared", args.seconds, args.threads // PROCESSES)
        print(
            f"log, {args.threads} threads, acknowledged           {many:10,.0f} records/s "
            f"{many / base:5.1f}x"
        )
        print(
            f"log, {args.threads} threads in {PROCESSES} processes           {shared:10,.0f} "
            f"records/s {shared / base:5.1f}x"
        )
        p99 = statistics.quantiles(took, n=100)[98]
        print(
            f"one append at 200/s                    p50 {statistics.median(took):.2f} ms, "
            f"p99 {p99:.2f} ms"
        )
        start, cpu = time.perf_counter(), time.process_time()
        report = verify(folder / "log")
        rate = report.size / (time.perf_counter() - start)
        per_cpu = report.size / (time.process_time() - cpu)
        for problem in (*report.problems, *verify(folder / "shared").problems):
            sys.exit(f"the log that was measured is not whole: {problem}")
        print(
            f"verify, one process                    {rate:10,.0f} records/s "
            f"({per_cpu:,.0f} per CPU-second; {report.size:,} records)"
        )
        start = time.perf_counter()
        begin(folder / "log").close()
        print(f"open and close again                   {time.perf_counter() - start:10.2f} s")


if __name__ == "__main__":
    main()
