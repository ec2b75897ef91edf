"""The same scan on Ray: workers on other machines that see the same files under the same names.

Each loads its recognisers once. What comes back are batches as a local worker makes them, so that
findings are the same, byte by byte; no text goes over the wire.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from sovereign.errors import MissingExtra, ScanError, SovereignError
from sovereign.scan.run import Progress
from sovereign.scan.state import State, Task
from sovereign.scan.walk import Found, Skipped
from sovereign.scan.work import DIED, Work
from sovereign.scan.worker import Answer, Plan, Worker, answers

__all__ = ["run_on_ray"]


class _Hand:
    """One worker, as an actor."""

    def __init__(self, plan: Plan) -> None:
        self._worker = Worker(plan)
        self._coming: Iterator[Answer] = iter(())

    def next(self, task: Task | None) -> Answer:
        """The first answer to ``task``; without one, the next to the last task."""
        if task is not None:
            self._coming = answers(self._worker, task)
        return next(self._coming)


def run_on_ray(
    state: State,
    there: Sequence[Found | Skipped],
    plan: Plan,
    *,
    jobs: int,
    address: str | None,
    progress: Progress = lambda done, total: None,
) -> None:
    """As :func:`sovereign.scan.run.run`, by ``jobs`` workers of the Ray cluster at ``address``;
    without one, of a cluster on this machine that ends with the scan. Raises
    :class:`MissingExtra`, :class:`ScanError`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray") from None
    work = Work(state, there, plan.slice)
    own: dict[str, Any] = {"include_dashboard": False, "num_cpus": jobs} if not address else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except Exception as e:  # noqa: BLE001 - a plain one if its own processes are not up in time
        raise ScanError(
            f"Ray does not start, or no cluster of it answers ({type(e).__name__})",
            hint="is the machine too busy? Its logs are in /tmp/ray",
        ) from None
    try:
        make = ray.remote(_Hand)
        at: dict[Any, tuple[Any, Task]] = {}  # what is awaited, of whom, for what
        idle = [make.remote(plan) for _ in range(work.hands(jobs))]
        while True:
            while idle and (task := work.take()) is not None:
                hand = idle.pop()
                at[hand.next.remote(task)] = hand, task
            if not at:
                break
            (ready,), _ = ray.wait(list(at), num_returns=1)
            hand, task = at.pop(ready)
            try:
                sent = ray.get(ready)
            except ray.exceptions.RayActorError:
                work.failed(task, DIED)
                idle.append(make.remote(plan))
                continue
            except ray.exceptions.RayTaskError as e:
                cause = e.cause if isinstance(e.cause, SovereignError) else None
                raise cause or ScanError("a worker of the scan failed on Ray") from None
            if work.came(task, sent):
                idle.append(hand)
            else:
                at[hand.next.remote(None)] = hand, task
            progress(work.done, work.total)
    finally:
        ray.shutdown()
