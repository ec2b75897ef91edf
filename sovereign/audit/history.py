"""The logs of a chain, for those who read them: where each is, and which key signs it.

A record is named by its index, and in a later log than the first by both: ``2/4711``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sovereign.audit.chain import name_of
from sovereign.audit.note import Verifier
from sovereign.audit.proof import Proof
from sovereign.audit.store.folders import FINAL, folder_of, numbers_in
from sovereign.audit.store.sqlite import FILE
from sovereign.audit.stored import HINT, Stored, open_stored, record_of
from sovereign.errors import AuditError, LogTampered

__all__ = [
    "End",
    "Past",
    "begun",
    "check_link",
    "end_of",
    "end_of_deleted",
    "find",
    "logs",
    "parse_place",
    "signed_by",
    "span",
    "spanning",
]

_PLACE = re.compile(r"(?:([1-9][0-9]{0,5})/)?(0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Past:
    """One log of a chain."""

    number: int
    folder: Path
    verifier: Verifier

    @property
    def deleted(self) -> bool:
        """Whether its records are gone."""
        return not (self.folder / FILE).exists()

    def place(self, index: int) -> int | str:
        """What record ``index`` is called: its number, and in a later log ``2/4711``."""
        return index if self.number == 1 else f"{self.number}/{index}"


def logs(chain: Path, verifier: Verifier) -> list[Past]:
    """Every log of the chain in folder ``chain``, the oldest first; ``verifier`` is the first
    one's."""
    return [
        Past(n, folder_of(chain, n), Verifier(name_of(verifier.name, n), verifier.key))
        for n in numbers_in(chain)
    ]


def signed_by(note: str, first: Verifier) -> Verifier:
    """The key of the log that ``note`` names, if it is of the chain whose first log is signed by
    ``first``; otherwise ``first``, which will not open it."""
    origin = note.partition("\n")[0]
    number = origin.removeprefix(f"{first.name}/")
    if number != origin and re.fullmatch(r"[1-9][0-9]{0,5}", number, re.ASCII) and number != "1":
        return Verifier(origin, first.key)
    return first


def parse_place(text: str) -> tuple[int | None, int]:
    """The log, if one is named, and the index. ValueError if ``text`` names no record."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError("a record is named by its number, or by its log and number: 2/4711")
    return int(match[1]) if match[1] else None, int(match[2])


def begun(past: Past) -> str:
    """When a log's first record was written. Believed because a checkpoint is over it."""
    if past.deleted:
        return end_of_deleted(past).begun
    with open_stored(past.folder, past.verifier) as stored:
        ((_, data, _),) = stored.entries(0, 1)
    return str(record_of(data)["time"])


@dataclass(frozen=True, slots=True)
class End:
    """A log's first record, and its last checkpoint; of a log about which nothing is known the
    record is empty."""

    first: bytes
    size: int
    root: bytes

    @property
    def begun(self) -> str:
        """When the first record was written; empty, which is before all times, if not known."""
        return str(record_of(self.first)["time"]) if self.first else ""


def end_of(stored: Stored) -> End:
    """Of a log whose records are there. Whoever believes it reads all of them, to the root."""
    _, newest = stored.checkpoint()
    ((_, data, _),) = stored.entries(0, 1)
    return End(data, newest.size, newest.root)


def end_of_deleted(past: Past) -> End:
    """What is left of a log whose records were deleted. Raises :class:`LogTampered`."""
    try:
        text = (past.folder / FINAL).read_text("utf-8")
    except OSError:
        return End(b"", 0, b"")
    except UnicodeDecodeError:
        raise LogTampered(f"{past.folder / FINAL} is not text") from None
    left = Proof.parse(text).check(past.verifier)
    if left.index:
        raise LogTampered(f"{past.folder / FINAL} is no proof of the first record")
    return End(left.record, left.checkpoint.size, left.checkpoint.root)


def check_link(before: Past, its: End, past: Past, end: End) -> None:
    """That ``past`` goes on from the log ``before`` it: its first record says from where. Raises
    :class:`LogTampered`. About a log of which nothing is known nothing is said."""
    if past.number != before.number + 1:
        raise LogTampered(f"log {past.number - 1} is missing", hint=HINT)
    if not its.first or not end.first:
        return
    begin = record_of(end.first)
    said = tuple(begin.get(name) for name in ("type", "log", "previous", "size", "root"))
    if said != ("log.begin", past.number, before.verifier.name, its.size, its.root.hex()):
        raise LogTampered(
            f"log {before.number} is not the one that log {past.number} goes on from", hint=HINT
        )


def span(past: Past) -> tuple[str, str]:
    """The earliest and the latest time that a record of the log says. A clock may have jumped: the
    first and the last record are then neither. All is read; of a deleted log its first record is
    left."""
    if past.deleted:
        return begun(past), begun(past)
    with open_stored(past.folder, past.verifier) as stored:
        _, newest = stored.checkpoint()
        return stored.times(newest.size)


def find(chain: Path, verifier: Verifier, number: int | None) -> Past:
    """Log ``number``; without a number the only one, or the newest. Raises :class:`AuditError` if
    it is not there, or its records were deleted."""
    every = logs(chain, verifier)
    found = every[-1] if number is None else next((p for p in every if p.number == number), None)
    if found is None:
        raise AuditError(f"there is no log {number}", hint=f"the newest is {every[-1].number}")
    if found.deleted and len(every) > 1:
        raise AuditError(
            f"the records of log {found.number} were deleted",
            hint=f"{found.folder / FINAL} shows what it was",
        )
    return found


def spanning(chain: Path, verifier: Verifier, since: str, until: str) -> list[Past]:
    """The logs that have the records of [since, until), neighbours, the oldest first; at least one.

    Deleted logs before the others are left out. Where a log's beginning cannot be read, all logs
    are meant: verification says what is wrong. Raises :class:`AuditError` if a log in between was
    deleted, or nothing is left.
    """
    every = logs(chain, verifier)
    if len(every) == 1:
        return every
    try:
        spans = [span(past) for past in every]
        begins = [begun(past) for past in every]
    except (LogTampered, ValueError, KeyError, TypeError):
        return [past for past in every if not past.deleted]
    within = [
        i
        for i, after in enumerate([*begins[1:], "~"])
        if since <= max(spans[i][1], after) and (i == 0 or spans[i][0] < until)
    ] or [len(every) - 1]
    found = every[within[0] : within[-1] + 1]
    while found[:-1] and found[0].deleted:
        found = found[1:]
    for past in found:
        find(chain, verifier, past.number)
    return found
