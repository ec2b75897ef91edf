"""One moment of a stored log, read only: its records in order, their hashes, its checkpoints.

What proves something reads here. Nothing is believed that was not recomputed or signed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from sovereign.audit.anchor import COSIGNED, Anchor
from sovereign.audit.note import Checkpoint, Verifier, open_checkpoint
from sovereign.audit.tree import Frontier, leaf_hash
from sovereign.audit.verify import NotALog, snapshot
from sovereign.errors import AuditError, LogTampered

__all__ = ["HINT", "Stored", "open_stored", "record_of"]

HINT = "`sovereign audit verify` says what is wrong"


class Stored:
    """A log's records and checkpoints as they were when it was opened."""

    def __init__(
        self,
        db: sqlite3.Connection,
        folder: Path,
        verifier: Verifier,
        seen: Checkpoint | LogTampered | None,
    ) -> None:
        """Use :func:`open_stored`."""
        self._db = db
        self._seen = seen
        self._folder = folder
        self.verifier = verifier

    def checkpoint(self) -> tuple[str, Checkpoint]:
        """The newest checkpoint, as a note and as what it says.

        If a witness has cosigned that very checkpoint, the note has its lines too. Raises
        :class:`LogTampered`, or :class:`AuditError` if there is none yet.
        """
        row = self._one("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
        if row is None:
            raise AuditError("audit log: it has no checkpoint yet")
        note = _text(row[0])
        newest = open_checkpoint(note, self.verifier)
        if isinstance(self._seen, LogTampered):
            raise self._seen
        if self._seen is not None and newest.size < self._seen.size:
            raise LogTampered(
                f"the database was signed up to {newest.size} records, "
                f"a checkpoint beside it has {self._seen.size}",
                index=newest.size,
                hint=HINT,
            )
        cosigned = self.cosigned()
        return cosigned if cosigned is not None and cosigned[1] == newest else (note, newest)

    def cosigned(self) -> tuple[str, Checkpoint] | None:
        """The newest checkpoint that a witness has cosigned. Its cosignatures are not checked."""
        try:
            note = _text((self._folder / COSIGNED).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as e:
            raise AuditError(f"{self._folder / COSIGNED}: {e.strerror}") from None
        return note, open_checkpoint(note, self.verifier)

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, bytes, leaf hash) from ``start`` to before ``stop``. Each leaf hash is
        recomputed. Raises :class:`LogTampered`, which names the record."""
        expected = start
        for index, data, stored in self._rows("idx, bytes, leaf", start, stop):
            if index != expected:
                break
            leaf = leaf_hash(data) if type(data) is bytes else b""
            if leaf != stored:
                raise LogTampered(
                    f"record {index} is not what its leaf hash says", index=index, hint=HINT
                )
            yield index, data, leaf
            expected += 1
        if expected < stop:
            raise LogTampered(f"record {expected} is missing", index=expected, hint=HINT)

    def marked(self, mark: bytes) -> list[tuple[int, dict[str, Any]]]:
        """(index, record) of the records that have ``mark`` in them. All are read, and up to the
        newest checkpoint are what was signed: otherwise :class:`LogTampered`."""
        (size,) = self._one("SELECT coalesce(max(idx), -1) + 1 FROM record") or (0,)
        _, newest = self.checkpoint()
        found: list[tuple[int, bytes]] = []

        def leaves(start: int, stop: int) -> Iterator[bytes]:
            for index, data, leaf in self.entries(start, stop):
                if mark in data:
                    found.append((index, data))
                yield leaf

        if Frontier().extend(leaves(0, newest.size)).root() != newest.root:
            raise LogTampered(f"the {newest.size} records are not what was signed", hint=HINT)
        for _ in leaves(newest.size, size):
            pass
        return [(index, record_of(data)) for index, data in found]

    def times(self, stop: int) -> tuple[str, str]:
        """The earliest and the latest time that the records before ``stop`` say. They are not held
        against their hashes here: whoever acts on it verifies the log."""
        with contextlib.closing(self._rows("idx, bytes", 0, stop)) as rows:
            try:
                said = [str(record_of(data)["time"]) for _, data in rows]
            except KeyError:
                raise LogTampered("a record says no time", hint=HINT) from None
        if not said:
            raise LogTampered("record 0 is missing", index=0, hint=HINT)
        return min(said), max(said)

    def root_of(self, start: int, stop: int) -> bytes:
        """MTH(D[start:stop]) over the *stored* leaf hashes: what comes of it is to be checked
        against a signed root."""
        rows = self._rows("idx, leaf", start, stop)
        frontier = Frontier().extend(leaf for _, leaf in rows if type(leaf) is bytes)
        if frontier.size != stop - start:
            raise LogTampered("records are missing", hint=HINT)
        return frontier.root()

    def _one(self, query: str) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._db.execute(query).fetchone()
        except sqlite3.DatabaseError as e:
            raise LogTampered(f"the database cannot be read: {e}", hint=HINT) from None
        return row

    def _rows(self, columns: str, start: int, stop: int) -> Generator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(
                # Fixed text; values are parameters.
                f"SELECT {columns} FROM record WHERE idx >= ? AND idx < ? ORDER BY idx",  # noqa: S608
                (start, stop),
            )
        except sqlite3.DatabaseError as e:
            raise LogTampered(f"the database cannot be read: {e}", hint=HINT) from None


@contextlib.contextmanager
def open_stored(folder: Path, verifier: Verifier) -> Iterator[Stored]:
    """The log in ``folder``, in use or a copy. Raises :class:`AuditError` if there is none."""
    # Before the database: the log may grow meanwhile, not shrink.
    seen: Checkpoint | LogTampered | None
    try:
        seen = Anchor(folder, verifier).newest()
    except LogTampered as e:  # that is for whoever asks for a checkpoint: records can be read
        seen = e
    try:
        with snapshot(folder) as db:
            yield Stored(db, folder, verifier, seen)
    except NotALog as e:
        raise AuditError(
            f"audit log: {e}", hint="the gateway begins one; see [audit].path in sovereign.toml"
        ) from None


def record_of(data: bytes) -> dict[str, Any]:
    """What a stored record says. Whoever changed it may have put anything there: raises
    :class:`LogTampered` if it is no JSON object."""
    try:
        record = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        record = None
    if type(record) is not dict:
        raise LogTampered("a record is not JSON", hint=HINT)
    return record


def _text(data: object) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8") if isinstance(data, bytes) else ""
    except UnicodeDecodeError:
        raise LogTampered("the checkpoint is not text", hint=HINT) from None
