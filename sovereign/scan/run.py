"""Runs a scan: as many worker processes as there are cores, one state, and no file lost.

A worker that dies takes nothing with it but the file it was at, which is said.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from sovereign.errors import ScanError, SovereignError
from sovereign.scan.state import State, Task
from sovereign.scan.walk import Found, Skipped
from sovereign.scan.work import DIED, Work
from sovereign.scan.worker import Plan, main

__all__ = ["Progress", "run"]

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(slots=True)
class _Hand:
    """A worker, and what it is at."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    ready: bool = False


def run(
    state: State,
    there: Sequence[Found | Skipped],
    plan: Plan,
    *,
    jobs: int,
    progress: Progress = lambda done, total: None,
) -> None:
    """Scan what is left of ``there``. Returns when everything was read, or said to be unread."""
    work = Work(state, there, plan.slice)
    hands = [_start(plan) for _ in range(work.hands(jobs))]
    try:
        while True:
            for hand in hands:
                if hand.task is None:
                    _give(hand, work)
            busy = [hand for hand in hands if hand.task is not None]
            if not busy:
                break
            ready = wait([hand.pipe for hand in busy])
            for hand in [one for one in busy if one.pipe in ready]:
                assert hand.task is not None
                try:
                    sent = hand.pipe.recv()
                except (EOFError, ConnectionResetError):
                    if not hand.ready:
                        raise ScanError("a worker of the scan does not start") from None
                    hands.remove(hand)
                    work.failed(hand.task, DIED)
                    hands.append(_start(plan))
                    continue
                if isinstance(sent, SovereignError):
                    raise sent
                if sent is None:
                    hand.ready = True
                elif work.came(hand.task, sent):
                    hand.task = None
            progress(work.done, work.total)
    finally:
        for hand in hands:
            hand.pipe.close()
        for hand in hands:
            hand.process.join(timeout=5)
            if hand.process.is_alive():
                hand.process.kill()


def _start(plan: Plan) -> _Hand:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=main, args=(theirs, plan), daemon=True)
    process.start()
    theirs.close()
    return _Hand(process, ours)


def _give(hand: _Hand, work: Work) -> None:
    hand.task = work.take()
    if hand.task is not None:
        hand.pipe.send(hand.task)
