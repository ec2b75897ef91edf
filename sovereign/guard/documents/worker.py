"""The reading process: parses documents that may be hostile, where it can reach nothing.

``python -m sovereign.guard.documents.worker MEMORY`` takes frames on stdin and answers on stdout.
It has no network (an empty network namespace, or, where the kernel permits none, no right to open a
socket's file), bounded memory, and writes no file. It ends with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from typing import Any

from sovereign.guard.documents.frames import pack, unpack

__all__ = ["main"]

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_DUMPABLE = 4


def main() -> None:
    """Answer frames until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # whatever a library prints could be of a document
    os.dup2(quiet, 2)
    isolated = _isolate(int(sys.argv[1]))

    def exactly(count: int) -> bytes:
        pieces, left = [], count
        while left:
            piece = os.read(0, min(left, 1 << 20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    _send(answers, pack({"isolated": isolated}))
    with contextlib.suppress(EOFError):
        while True:
            head, data = unpack(exactly)
            # A parent that is gone kills nobody: no document holds this process for ever.
            signal.alarm(int(head["limits"]["seconds"]) + 30)
            _send(answers, _answer(head, data))
            signal.alarm(0)


def _send(answers: Any, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[answers.write(view) :]


def _isolate(memory: int) -> bool:
    """Before any thread or library is there. Whether the network is really gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no core file with somebody's document
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    return bool(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def _answer(head: Any, data: bytes) -> bytes:
    from sovereign.errors import SovereignError
    from sovereign.guard.documents.limits import Budget, DocumentLimits, Job, TooMuch

    job = Job(Budget(DocumentLimits(**head["limits"])), head["ocr"])
    clean = b""
    try:
        if head["do"] == "read":
            from sovereign.guard.documents.reading import read

            clean = read(data, head["name"], job, head["declared"])
        elif head["do"] == "black_out":
            from sovereign.guard.documents.picture import black_out

            boxes = [(b[0], b[1], b[2], b[3]) for b in head["boxes"]]
            clean = black_out(data, head["kind"], boxes, job)
    except TooMuch as e:
        job.cannot(str(e))
    except SovereignError as e:  # a missing extra: what to install
        job.cannot(f"a document whose reader is missing ({e.hint or e.message})")
    except ImportError:
        job.cannot(
            "a document whose reader is missing (pip install 'sovereign-toolkit[documents]')"
        )
    except MemoryError:
        job.cannot("a document that takes too much memory")
    except RecursionError:
        job.cannot("a document that is nested too deep")
    except Exception as e:  # noqa: BLE001 - a parser of hostile files may raise anything
        job.cannot(f"a document that its reader fails on ({type(e).__name__})")
    texts = [[t.place, t.text, t.parts, t.mark] for t in job.texts]
    return pack({"texts": texts, "unread": job.unread}, b"" if job.unread else clean)


if __name__ == "__main__":
    main()
