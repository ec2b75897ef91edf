"""Which ended logs are due for deletion, and what is left of one that was deleted.

A log goes as a whole, once its last record is older than what has to be kept, no legal hold is on
its time, and it was found to be what was signed: one that is not is evidence. Its first record
stays under its final checkpoint, so that the chain over it can still be proven.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sovereign.audit.history import Past, logs
from sovereign.audit.note import Verifier
from sovereign.audit.proof import Proof, prove
from sovereign.audit.stored import open_stored
from sovereign.audit.verify import verify
from sovereign.errors import LogTampered

__all__ = ["Kept", "final_proof", "survey"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One log of the chain. Times are as records write them; ``held`` are the names of the holds
    on its time. ``expires`` is None if nothing is ever deleted."""

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


def survey(
    chain: Path, verifier: Verifier, days: int | None, holds: Mapping[str, Mapping[str, str]]
) -> list[Kept]:
    """Every log that has ended and whose records are there; ``days`` is how long they are kept
    after their end. Raises :class:`AuditError`."""
    found = []
    for past in logs(chain, verifier)[:-1]:
        if past.deleted:
            continue
        with open_stored(past.folder, past.verifier) as stored:
            _, newest = stored.checkpoint()
            ((_, first, _),) = stored.entries(0, 1)
            ((_, last, _),) = stored.entries(newest.size - 1, newest.size)
        began, ended = _time(first), _time(last)
        expires = None
        if days is not None:
            moment = datetime.fromisoformat(ended) + timedelta(days=days)
            expires = _text(moment.timestamp())
        held = [
            name
            for name, hold in holds.items()
            if hold.get("since", "") <= ended and began < hold.get("until", "~")
        ]
        root = newest.root.hex()
        found.append(Kept(past, newest.size, root, began, ended, expires, tuple(held)))
    return found


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
    return str(json.loads(data)["time"])


def _text(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
