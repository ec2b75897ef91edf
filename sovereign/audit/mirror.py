"""A local copy of a log that is in PostgreSQL, in the form that everything which reads understands.

What is new is added each time; that the copy's newest record is still the database's is checked, so
a database that was rewritten or put back is not read as if nothing had happened. What proves
something about the *database* (``sovereign audit verify``) makes a whole new copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from sovereign.audit.anchor import PUBLIC_KEY
from sovereign.audit.durable import write_whole
from sovereign.audit.place import Place
from sovereign.audit.store.folders import FINAL, Folders, folder_of
from sovereign.audit.store.postgres import PostgresLogs, PostgresStore
from sovereign.audit.store.sqlite import SQLiteStore
from sovereign.errors import LogTampered

__all__ = ["fresh", "local", "update"]

MIRROR = "mirror"
PAGE = 4096
HINT = "`sovereign audit verify` says what is wrong; keep {folder} as it is: it has what was there"


def local(place: Place) -> Path:
    """A folder to read the log from: its own, or the mirror of the database, brought up to date.
    Raises :class:`AuditError`."""
    if place.store is None:
        return place.folder
    update(place, place.folder / MIRROR)
    return place.folder / MIRROR


@contextlib.contextmanager
def fresh(place: Place) -> Iterator[Path]:
    """As :func:`local`, but every byte comes from the database now; gone at the end."""
    if place.store is None:
        yield place.folder
        return
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".verify-", dir=place.folder) as temporary:
        update(place, Path(temporary))
        yield Path(temporary)


def update(place: Place, into: Path) -> None:
    """Add to the copy in folder ``into`` what it lacks. Raises :class:`LogTampered` if the database
    no longer holds what the copy has."""
    logs = place.logs()
    assert isinstance(logs, PostgresLogs)
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.closing(logs):
        while True:
            # First: a checkpoint of a later moment would be of records that the copy lacks.
            anchors = {number: _anchor(place, number) for number in logs.numbers()}
            with logs.moment():
                if anchors.keys() >= set(logs.numbers()):
                    _copy(logs, anchors, into)
                    return


def _anchor(place: Place, number: int) -> dict[str, bytes]:
    files = [
        folder_of(place.folder, number) / name for name in (PUBLIC_KEY, "checkpoint", "cosigned")
    ]
    return {file.name: file.read_bytes() for file in files if file.exists()}


def _copy(logs: PostgresLogs, anchors: Mapping[int, Mapping[str, bytes]], into: Path) -> None:
    numbers, finals = logs.numbers(), logs.finals()
    copies = Folders(into)
    for number, proof in finals.items():
        folder = folder_of(into, number)
        if not (folder / FINAL).exists():
            write_whole(folder / FINAL, proof.encode(), mode=0o600)
            copies.drop(number, proof)
    for number in numbers:
        folder = folder_of(into, number)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.closing(copies.open(number)) as copy:
            _add(PostgresStore(logs._session, number), copy, number, into)
        for name, data in anchors[number].items():
            write_whole(folder / name, data, mode=0o600)


def _add(source: PostgresStore, copy: SQLiteStore, number: int, into: Path) -> None:
    with copy.batch():
        have, there = copy.size(), source.size()
        last = next(copy.records(have - 1, have), None) if have else None
        if there < have or (last and next(source.records(have - 1, have), None) != last):
            raise LogTampered(
                f"log {number} in the database is not the one that was copied: it had {have}"
                " records and others",
                index=min(there, have - 1),
                hint=HINT.format(folder=into),
            )
        copy.put(source.records(have, there))
        newest = copy.last_checkpoint()
        for checkpoint in source.checkpoints(newest.size if newest else -1):
            copy.put_checkpoint(checkpoint)
