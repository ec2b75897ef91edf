"""Records and checkpoints in one SQLite file. It stores and orders; it knows no key and no tree.

Several processes may append. SQLite's own locks order them: they are ``fcntl`` locks, which the
kernel takes back from a process that dies. A connection belongs to the process that opened it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from sovereign.audit.durable import sync_names
from sovereign.audit.store import HOLD, Row, StoredCheckpoint
from sovereign.audit.store.turn import Turn
from sovereign.errors import LogTampered, LogUnavailable

__all__ = ["FILE", "SQLiteStore"]

FILE = "log.db"
"""The database's name in the log's folder."""

APPLICATION_ID = 0x534C4F47
"""Bytes 68..71 of the file: "SLOG". So that nobody opens something else as a log."""

FORMAT = 1
BUSY_MS = 5_000
PAGE = 4096

_TABLES = """
CREATE TABLE record (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL, leaf BLOB NOT NULL);
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL, frontier BLOB NOT NULL);
"""
# A hold is looked up when the log ends, and nobody should wait for a scan then.
_HOLDS = f"instr(bytes, '{HOLD}') > 0"
_TABLES += f"CREATE INDEX hold ON record (idx) WHERE {_HOLDS};"
_DRAWN = {statement.strip() for statement in _TABLES.split(";")}


class SQLiteStore:
    """One connection, used by one thread at a time. Errors are :class:`LogUnavailable` (try again)
    or :class:`LogTampered` (this is no log, or it is no longer the one that was opened)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._pid = os.getpid()
        self._closed = False
        self._create()
        self._identity = _identity(file)
        try:
            self._turn = Turn(file.with_name(f"{file.name}-turn"), patience=BUSY_MS / 1000)
        except OSError as e:
            raise LogUnavailable(f"audit log: cannot open {file}: {e.strerror}") from None
        with _errors("open"):
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        _OPEN.add(self)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Idempotent. In a forked child it does nothing: the connection is the parent's."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        self._turn.close()
        with _errors("close"):
            self._db.close()

    @contextlib.contextmanager
    def batch(self, *, write: bool = True) -> Iterator[None]:
        """A transaction. With ``write`` it holds the only write lock from its beginning, and is
        durable (fsync) when it ends. Any exception undoes all of it."""
        self._check()
        with (
            self._turn if write else contextlib.nullcontext(),
            _errors("write" if write else "read"),
        ):
            self._db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # Some errors (a full disk) have already rolled back. What a second rollback says
                # about that must not hide why.
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise

    def size(self) -> int:
        """One more than the greatest index."""
        with _errors("read"):
            (size,) = self._db.execute("SELECT coalesce(max(idx) + 1, 0) FROM record").fetchone()
        return int(size)

    def last(self) -> tuple[int, bytes] | None:
        """The greatest index, and the leaf hash that is stored there."""
        with _errors("read"):
            found: tuple[int, bytes] | None = self._db.execute(
                "SELECT idx, leaf FROM record ORDER BY idx DESC LIMIT 1"
            ).fetchone()
        return found

    def records(self, start: int, stop: int) -> Iterator[Row]:
        """(index, bytes, stored leaf hash) of what is there from ``start`` to before ``stop``."""
        while start < stop:
            with _errors("read"):  # page by page: no cursor stays open while the caller thinks
                rows = self._db.execute(
                    "SELECT idx, bytes, leaf FROM record WHERE idx >= ? AND idx < ?"
                    " ORDER BY idx LIMIT ?",
                    (start, stop, PAGE),
                ).fetchall()
            if not rows:
                return
            yield from rows
            start = rows[-1][0] + 1

    def of_source(self, source: str) -> Iterator[tuple[int, bytes]]:
        """(index, bytes) of a source's records, the newest first."""
        # Values hold no quotation marks, so this is the field and nothing else.
        with _errors("read"):
            yield from self._db.execute(
                "SELECT idx, bytes FROM record WHERE instr(bytes, ?) > 0 ORDER BY idx DESC",
                (f'"source":"{source}"'.encode(),),
            )

    def holds(self) -> Iterator[tuple[int, bytes]]:
        """(index, bytes) of what :data:`HOLD` marks, the oldest first."""
        with _errors("read"):
            yield from self._db.execute(
                f"SELECT idx, bytes FROM record WHERE {_HOLDS} ORDER BY idx"  # noqa: S608 - fixed
            ).fetchall()

    def put(self, rows: Iterable[Row]) -> None:
        """Append (index, bytes, leaf hash) rows, inside a :meth:`batch`."""
        with _errors("write"):
            self._db.executemany("INSERT INTO record (idx, bytes, leaf) VALUES (?, ?, ?)", rows)

    def last_checkpoint(self, *, at_most: int | None = None) -> StoredCheckpoint | None:
        """The greatest checkpoint, or the greatest of at most ``at_most`` records."""
        bound = 2**62 if at_most is None else at_most
        with _errors("read"):
            row = self._db.execute(
                "SELECT size, note, frontier FROM checkpoint WHERE size <= ?"
                " ORDER BY size DESC LIMIT 1",
                (bound,),
            ).fetchone()
        if row and [*map(type, row)] != [int, str, bytes]:
            raise LogTampered(
                f"audit log: {self._file} holds something else than a checkpoint",
                hint="`sovereign audit verify` says what is wrong",
            )
        return StoredCheckpoint(*row) if row else None

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Add a checkpoint, inside a :meth:`batch`."""
        with _errors("write"):
            self._db.execute(
                "INSERT INTO checkpoint (size, note, frontier) VALUES (?, ?, ?)",
                (checkpoint.size, checkpoint.note, checkpoint.frontier),
            )

    def _create(self) -> None:
        """An empty file that only its owner can read; SQLite gives -wal and -shm the same mode."""
        try:
            os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            return
        except OSError as e:
            raise LogUnavailable(f"audit log: cannot create {self._file}: {e.strerror}") from None
        sync_names(self._file.parent)

    def _prepare(self) -> None:
        with _errors("open"):
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.execute("PRAGMA cell_size_check = ON")
            # Two processes may be making it at once, and for this SQLite waits for nobody.
            with self._turn:
                self._db.execute("PRAGMA journal_mode = WAL")
            # FULL: the write-ahead log is fsynced on every commit. NORMAL would lose commits.
            self._db.execute("PRAGMA synchronous = FULL")
        with self.batch():
            if self._pragma("schema_version") == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {FORMAT}")
        with _errors("open"):
            drawn = {sql for (sql,) in self._db.execute("SELECT sql FROM sqlite_master")}
            # A trigger of another's making would run with each record that we write.
            if self._pragma("application_id") != APPLICATION_ID or not drawn <= _DRAWN:
                raise LogTampered(f"{self._file} is a database, but not an audit log")
            if self._pragma("user_version") != FORMAT:
                raise LogUnavailable(
                    f"{self._file} has a format that this version does not know",
                    hint="upgrade sovereign-toolkit",
                )

    def _pragma(self, name: Literal["schema_version", "application_id", "user_version"]) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise LogUnavailable(
                "audit log: opened before a fork", hint="open the log in the process that uses it"
            )
        # Whoever moves the file away leaves us writing, durably, where nobody will ever read.
        if _identity(self._file) != self._identity:
            raise LogUnavailable(
                f"audit log: {self._file} was removed or replaced while in use",
                hint="put the file back, or restart and find out who did it",
            )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(file)  # noqa: PTH116 - asked at each commit
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


@contextlib.contextmanager
def _errors(doing: Literal["open", "read", "write", "close"]) -> Iterator[None]:
    """SQLite's words as ours. They name pages and disks, never what is in a record."""
    try:
        yield
    except sqlite3.OperationalError as e:
        raise LogUnavailable(
            f"audit log: cannot {doing}: {e}", hint="free disk space, or see who holds the file"
        ) from e
    except (sqlite3.DatabaseError, UnicodeDecodeError) as e:  # its words may quote the file
        raise LogTampered(
            f"audit log: cannot {doing}: {e}", hint="`sovereign audit verify` says what is wrong"
        ) from e


_OPEN: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()


def _forget_after_fork() -> None:
    """In a forked child, keep inherited connections from ever being closed.

    Closing one runs SQLite's clean-up on files that the parent is writing; that has lost
    acknowledged records. A reference that nobody gives back is the only way to stop a destructor.
    """
    for store in _OPEN:
        connection = getattr(store, "_db", None)
        if connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


os.register_at_fork(after_in_child=_forget_after_fork)
