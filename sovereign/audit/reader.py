"""Reads records for people to look at. It proves nothing: that is :mod:`.verify`'s work.

A stored record that does not fit the schema is not shown: whoever changed it may have put anything
there.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sovereign.audit.schema import validate
from sovereign.audit.store.folders import folder_of, numbers_in
from sovereign.audit.store.sqlite import FILE
from sovereign.audit.verify import NotALog, snapshot
from sovereign.errors import AuditError, RecordRejected

__all__ = ["BEGINNING", "END", "Place", "Shown", "read"]

ENVELOPE = ("v", "time", "source", "seq")


Place = tuple[int, int]
"""Log and index."""

BEGINNING: Place = (0, -1)
END: Place = (2**31, 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A record at ``index`` of log ``log``; None if what is there is no record of ours."""

    index: int
    record: dict[str, Any] | None
    log: int = 1

    @property
    def place(self) -> Place:
        return self.log, self.index


def read(
    chain: Path,
    *,
    last: int,
    kind: str | None = None,
    request: str | None = None,
    beats: bool = True,
    after: Place = BEGINNING,
    before: Place = END,
) -> list[Shown]:
    """The ``last`` records between two places (both excluded), oldest first, of one type or one
    request (its id, or how the id ends), with or without heartbeats, in the logs of the chain that
    are there. Raises :class:`AuditError` if there is none that can be read."""
    shown: list[Shown] = []
    for number in reversed(numbers_in(chain)):
        if len(shown) >= last or not after[0] <= number <= before[0]:
            continue
        folder = folder_of(chain, number)
        if (folder / FILE).exists() or number == 1 == numbers_in(chain)[-1]:
            found = _read(
                folder,
                last=last - len(shown),
                kind=kind,
                request=request,
                beats=beats,
                after=after[1] if number == after[0] else -1,
                before=before[1] if number == before[0] else None,
            )
            shown[:0] = [replace(one, log=number) for one in found]
    return shown


def _read(
    folder: Path,
    *,
    last: int,
    kind: str | None,
    request: str | None,
    beats: bool,
    after: int,
    before: int | None,
) -> list[Shown]:
    # Records are canonical and hold no quotation marks inside values: a substring is a field.
    wanted = [f'"type":"{kind}"'.encode()] if kind else []
    wanted += [b'"request":"', f'{request}"'.encode()] if request else []
    where = "".join(" AND instr(bytes, ?) > 0" for _ in wanted)
    if not beats:
        wanted.append(b'"type":"log.heartbeat"')
        where += " AND instr(bytes, ?) = 0"
    try:
        with snapshot(folder) as db:
            rows = db.execute(
                # Fixed text; values are parameters.
                f"SELECT idx, bytes FROM record WHERE idx > ? AND idx < ?{where}"  # noqa: S608
                " ORDER BY idx DESC LIMIT ?",
                (after, 2**62 if before is None else before, *wanted, last),
            ).fetchall()
    except (NotALog, sqlite3.Error) as e:
        raise AuditError(
            f"audit log: {e}", hint="the gateway begins one; see [audit].path in sovereign.toml"
        ) from None
    shown = (Shown(index, _record(data)) for index, data in reversed(rows))
    return [one for one in shown if request is None or _is_of(one, request)]


def _is_of(shown: Shown, request: str) -> bool:
    return shown.record is not None and str(shown.record.get("request", "")).endswith(request)


def _record(data: object) -> dict[str, Any] | None:
    try:
        record = json.loads(data) if type(data) is bytes else None
    except (ValueError, RecursionError):
        return None
    if type(record) is not dict:
        return None
    try:
        validate({name: v for name, v in record.items() if name not in ENVELOPE})
    except RecordRejected:
        return None
    printable = all(str(record.get(name, "")).isprintable() for name in ENVELOPE)
    return record if printable else None
