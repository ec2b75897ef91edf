"""Not a test: a process that appends, for the tests of this folder. Prints what was acknowledged.

    python audit_worker.py FOLDER SOURCE THREADS RECORDS [wait|full] [KEY_FILE]

One line per acknowledged record: its request id and index. With ``wait`` it
begins when a line comes on stdin. With ``full`` it prints "refused" once,
when the disk is full, waits for a line on stdin, and goes on. With a KEY_FILE
it appends through a sequencer that it starts.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from sovereign.audit import record
from sovereign.audit.client import Client
from sovereign.audit.log import Log
from sovereign.audit.place import Place
from sovereign.audit.starting import Starter
from sovereign.errors import LogUnavailable

KEY = bytes(range(32))
ORIGIN = "log.example/a"


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one system call: whole, and not lost in a buffer


def begin(folder: Path, source: str, key: str) -> Log | Client:
    if not key:
        return Log.open(folder, key=KEY, origin=ORIGIN, source=source)
    starter = Starter(Place(folder), key_file=Path(key), origin=ORIGIN, linger=0.5)
    return Client.open(folder, source=source, starter=starter)


def main(folder: Path, source: str, threads: int, records: int, mode: str, key: str) -> None:
    with begin(folder, source, key) as log:
        say("open")
        if mode == "wait":
            sys.stdin.readline()

        def work(thread: int) -> None:
            for i in range(records):
                name = f"{source}-{thread}-{i}"
                made = record.result(
                    request=name, status=200, outcome="ok", bytes_in=i, duration_ms=1
                )
                try:
                    say(f"{name} {log.append(made).index}")
                except LogUnavailable:
                    if mode != "full":
                        raise
                    say("refused")
                    sys.stdin.readline()
                    say(f"again {log.append(made).index}")
                    return

        workers = [threading.Thread(target=work, args=(t,)) for t in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    say("closed")


if __name__ == "__main__":
    folder, source, threads, records, mode, key = [*sys.argv[1:], "", ""][:6]
    main(Path(folder), source, int(threads), int(records), mode, key)
