"""Not a test: a client of a sequencer, for the tests of this folder. Prints what was acknowledged.

    python sequencer_worker.py FOLDER KEY_FILE SOURCE THREADS

It starts the sequencer whenever there is none. Each thread appends an intent or a result, says its
request id and index once it is acknowledged, and goes on until a line comes on stdin.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sovereign.audit import record
from sovereign.audit.client import Client
from sovereign.audit.place import Place
from sovereign.audit.starting import Starter
from sovereign.types import Action, Destination, Verdict

ORIGIN = "log.example/a"
VERDICT = Verdict(Action.MASK, Destination("openai", "hosted"), "a" * 64)


def made(name: str, *, intent: bool) -> dict[str, Any]:
    if not intent:
        return record.result(request=name, status=200, outcome="ok", bytes_in=1, duration_ms=1)
    return record.intent(
        request=name,
        team="t",
        key_id="k",
        endpoint="openai.chat",
        model="m",
        destination=VERDICT.destination,
        verdict=VERDICT,
        guard_build="b" * 64,
        body_sha256="c" * 64,
        bytes_out=1,
        stream=False,
    )


def main(folder: Path, key: Path, source: str, threads: int) -> None:
    starter = Starter(Place(folder), key_file=key, origin=ORIGIN, linger=1.0)
    stop = threading.Event()
    with Client.open(folder, source=source, starter=starter, patience=30) as log:
        os.write(1, b"open\n")

        def work(thread: int) -> None:
            turn = 0
            while not stop.is_set():
                turn += 1
                name = f"{source}-{thread}-{turn}"
                receipt = log.append(made(name, intent=bool(turn % 2)))
                os.write(1, f"{name} {receipt.index}\n".encode())  # whole, in no buffer
                time.sleep(0.005)

        workers = [threading.Thread(target=work, args=(t,)) for t in range(threads)]
        for worker in workers:
            worker.start()
        sys.stdin.readline()
        stop.set()
        for worker in workers:
            worker.join()
    os.write(1, b"closed\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
