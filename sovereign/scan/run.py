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
from sovereign.scan.state import Batch, State, Task
from sovereign.scan.walk import Found, Skipped
from sovereign.scan.worker import Plan, main

__all__ = ["DIED", "Progress", "failed", "run"]

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

DIED = "the process that read it died: too little memory?"


@dataclass(slots=True)
class _Hand:
    """A worker, and what it is at."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    at: int = 0
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
    tasks = state.listed(there)[::-1]
    sizes = {one.path: one.size for one in there if isinstance(one, Found)}
    total, done = sum(sizes.values()), sum(sizes.values()) - sum(sizes[t.path] for t in tasks)
    hands = [_start(plan) for _ in range(min(jobs, len(tasks)))]
    try:
        for hand in hands:
            _give(hand, tasks)
        while busy := [h for h in hands if h.task is not None]:
            ready = wait([h.pipe for h in busy])
            for hand in [h for h in busy if h.pipe in ready]:
                assert hand.task is not None
                task = hand.task
                try:
                    sent = hand.pipe.recv()
                except (EOFError, ConnectionResetError):
                    if not hand.ready:
                        raise ScanError("a worker of the scan does not start") from None
                    hands.remove(hand)
                    state.add(failed(task, DIED))
                    done += sizes[task.path]
                    hands.append(_start(plan))
                    _give(hands[-1], tasks)
                    continue
                if isinstance(sent, SovereignError):
                    raise sent
                if sent is None:
                    hand.ready = True
                elif isinstance(sent, Batch):
                    state.add(sent)
                    hand.at = min(sent.resume, sizes[task.path])
                elif sent[1] == "grown":
                    tasks.append(state.again(task))
                    _give(hand, tasks)
                else:
                    if sent[1]:
                        state.add(failed(task, sent[1]))
                    done += sizes[task.path]
                    hand.at = 0
                    _give(hand, tasks)
                progress(done + sum(h.at for h in hands), total)
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


def _give(hand: _Hand, tasks: list[Task]) -> None:
    hand.task = tasks.pop() if tasks else None
    if hand.task is not None:
        hand.pipe.send(hand.task)


def failed(task: Task, why: str) -> Batch:
    """The end of a file that could not be read to its end."""
    unread = (("", None, why),)
    return Batch(task.id, (), unread, task.resume, task.resume, 0, 0, 0, 0, "", "", done=True)
