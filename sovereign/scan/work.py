"""What is left of a scan, and what comes of it: the same wherever the processes are that do it."""

from __future__ import annotations

from collections.abc import Sequence

from sovereign.scan.state import Batch, Cuts, State, Task
from sovereign.scan.walk import Found, Skipped
from sovereign.scan.worker import Answer

__all__ = ["DIED", "Work"]

DIED = "the process that read it died: too little memory?"


class Work:
    """Tasks to give, and answers to take."""

    def __init__(self, state: State, there: Sequence[Found | Skipped], cut: int) -> None:
        """``there`` is what the paths hold now; files of twice ``cut`` bytes may be cut."""
        self._state = state
        self._tasks = state.listed(there)[::-1]
        self._left = {task.id: task.bytes for task in self._tasks}
        self._cut = cut
        self._given: set[int] = set()  # ids of files of which a worker is done with cutting
        self.total = sum(one.size for one in there if isinstance(one, Found))

    @property
    def done(self) -> int:
        """Bytes of ``total``."""
        return self.total - sum(self._left.values())

    def hands(self, jobs: int) -> int:
        """How many of ``jobs`` workers there is something to do for."""
        large = any(task.bytes >= 2 * self._cut for task in self._tasks)
        return jobs if large else min(jobs, len(self._tasks))

    def take(self) -> Task | None:
        """The next one; None if there is none now."""
        return self._tasks.pop() if self._tasks else None

    def came(self, task: Task, sent: Answer) -> bool:
        """Take in what a worker says of ``task``; whether that was the last."""
        if isinstance(sent, Batch):
            self._state.add(sent)
            at = min(max(0, sent.resume - task.begin), task.bytes)
            if task.id in self._left:
                self._left[task.id] = task.bytes - at
            return False
        if isinstance(sent, Cuts):
            self._left.pop(task.id, None)
            self._given.add(task.id)  # to its first slice
            self._give(self._state.split(sent))
            return False
        why = sent[1]
        if why in ("grown", "whole"):
            self._anew(task, whole=why == "whole")
        elif why:
            self.failed(task, why)
        if task.id in self._given:
            self._given.remove(task.id)
        else:
            self._left.pop(task.id, None)
        return True

    def failed(self, task: Task, why: str) -> None:
        """A file could not be read to its end."""
        unread = (("", None, why),)
        self._state.add(
            Batch(
                task.id, (), unread, task.resume, task.resume, 0, 0, 0, 0, 0, False, "", done=True
            )
        )
        self._left.pop(task.id, None)

    def _anew(self, task: Task, *, whole: bool) -> None:
        again = self._state.again(task, whole=whole)
        if again is not None:
            for other in [one for one in self._tasks if one.path == task.path]:
                self._tasks.remove(other)
                self._left.pop(other.id, None)
            self._give([again])

    def _give(self, tasks: Sequence[Task]) -> None:
        self._tasks += reversed(tasks)
        self._left.update((task.id, task.bytes) for task in tasks)
