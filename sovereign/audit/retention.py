"""Which ended logs are due for deletion, and what is left of one that was deleted.

A log goes as a whole, once its last record is older than what has to be kept, no legal hold is on
its time, and it was found to be what was signed: one that is not is evidence. Its first record
stays under its final checkpoint, so that the chain over it can still be proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from sovereign.audit.history import Past, begun, logs, span
from sovereign.audit.note import Verifier
from sovereign.audit.proof import Proof, prove
from sovereign.audit.store import HOLD
from sovereign.audit.stored import open_stored, record_of
from sovereign.audit.verify import verify
from sovereign.errors import AuditError, LogTampered

__all__ = ["Hold", "Kept", "check_clock", "declared", "final_proof", "standing", "survey"]

DAY, MONTH = timedelta(days=1), timedelta(days=31)
"""How far the clock may be behind the newest record, and ahead of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One log of the chain. ``began`` and ``ended`` are the earliest and the latest time that its
    records can be of; ``held`` are the names of the holds on that time. ``expires`` is None if
    nothing is ever deleted."""

    past: Past
    size: int
    root: str
    began: str
    ended: str
    expires: str | None
    held: tuple[str, ...]

    def due(self, now: float) -> bool:
        """Whether it may go at ``now`` (POSIX)."""
        return self.expires is not None and not self.held and self.expires < _text(now)


@dataclass(frozen=True, slots=True)
class Hold:
    """That the logs of a time are to be kept: from ``since`` to before ``until``, as records write
    times. ``log`` is the newest one that says so."""

    since: str
    until: str
    log: int


def standing(chain: Path, verifier: Verifier) -> dict[str, Hold]:
    """The legal holds that stand, by name. Every record of every log is read and held against the
    signed root: the database's index of holds is not signed, and neither is that a log takes over
    the holds of the one before it. Nothing is released by a record that is not signed yet.

    Raises :class:`LogTampered`, :class:`AuditError`.
    """
    holds: dict[str, Hold] = {}
    every = logs(chain, verifier)
    for past in every:
        if past.deleted and len(every) > 1:
            continue
        with open_stored(past.folder, past.verifier) as stored:
            for index, hold in stored.marked(HOLD.encode()):
                name, action = hold["name"], hold["action"]
                if action != "release":
                    since, until = hold.get("since", ""), hold.get("until", "~")
                    holds[name] = Hold(since, until, past.number)
                elif index < stored.checkpoint()[1].size:
                    holds.pop(name, None)
    return holds


def survey(
    chain: Path, verifier: Verifier, days: int | None, holds: Mapping[str, Hold]
) -> list[Kept]:
    """Every log that has ended and whose records are there; ``days`` is how long they are kept
    after their end. A log that alone says that a hold stands is kept with it. Raises
    :class:`AuditError`."""
    found: list[Kept] = []
    before: str | None = None  # what the last record of the log before says
    every = logs(chain, verifier)
    for past, following in pairwise(every):
        if past.deleted:
            before = None
            continue
        with open_stored(past.folder, past.verifier) as stored:
            _, newest = stored.checkpoint()
            ((_, data, _),) = stored.entries(newest.size - 1, newest.size)
        # A clock that jumped makes the time of a log longer, never shorter: what its records say,
        # and where it meets its neighbours.
        near = [*span(past), begun(following), *([before] if before else [])]
        began, ended, before = min(near), max(near), _time(data)
        expires = None
        if days is not None:
            moment = datetime.fromisoformat(ended) + timedelta(days=days)
            expires = _text(moment.timestamp())
        held = [
            name
            for name, hold in holds.items()
            if (hold.since <= ended and began < hold.until) or hold.log == past.number
        ]
        root = newest.root.hex()
        found.append(Kept(past, newest.size, root, began, ended, expires, tuple(held)))
    return found


def check_clock(chain: Path, verifier: Verifier, now: float) -> None:
    """Raises :class:`AuditError` if ``now`` is not what the newest record lets expect: nothing is
    deleted by a clock that may be wrong."""
    past = logs(chain, verifier)[-1]
    with open_stored(past.folder, past.verifier) as stored:
        _, newest = stored.checkpoint()
        ((_, data, _),) = stored.entries(newest.size - 1, newest.size)
    last = datetime.fromisoformat(_time(data))
    if not -DAY <= (datetime.fromtimestamp(now, UTC) - last) <= MONTH:
        raise AuditError(
            f"the newest record is of {_time(data)}, and the clock says {_text(now)}: one of them "
            "is wrong, so nothing is deleted",
            hint="set the clock; a gateway that runs writes a record each minute",
        )


def declared(kept: Kept) -> list[dict[str, Any]]:
    """The fields of the log.delete records in a log: to be recorded again before it goes, too, so
    that a later log says of each that is gone who took it."""
    with open_stored(kept.past.folder, kept.past.verifier) as stored:
        found = stored.marked(b'"type":"log.delete"')
    envelope = ("v", "type", "time", "source", "seq")
    return [{n: v for n, v in one.items() if n not in envelope} for _, one in found]


def final_proof(kept: Kept) -> Proof:
    """What is to be left of a log. Reads all of it first: :class:`LogTampered` if it is not what
    was signed."""
    report = verify(kept.past.folder, key=str(kept.past.verifier))
    mine = [p for p in report.problems if p.log == 1]
    if mine:
        raise LogTampered(
            f"log {kept.past.number} is not what was signed, so it is not deleted: {mine[0]}",
            index=mine[0].record,
            hint="keep it as it is: it is evidence",
        )
    with open_stored(kept.past.folder, kept.past.verifier) as stored:
        return prove(stored, 0)


def _time(data: bytes) -> str:
    return str(record_of(data)["time"])


def _text(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
