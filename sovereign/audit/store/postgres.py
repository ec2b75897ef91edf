"""A chain of logs in PostgreSQL, which several machines may write. Needs the extra ``postgres``.

Writers take turns by an advisory lock of their transaction: the server takes it back from a session
that ends, and ends a session that stops in the middle. So there is one order and no fork, whoever
dies. Each log has tables of its own: what retention deletes is dropped, with its file.

Nothing here waits for long: a server that does not answer within seconds is one that is not there.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sovereign.audit.store import HOLD, Row, StoredCheckpoint
from sovereign.audit.store.watch import Watch
from sovereign.errors import LogTampered, LogUnavailable, MissingExtra

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresLogs", "PostgresStore"]

SCHEMA = "sovereign_audit"
LOCK = 0x534C4F47
"""The advisory lock of whoever writes: "SLOG"."""

SECONDS = 3
"""For a connection, a lock, a statement. Less than a request waits for the log."""

PAUSE_SECONDS = 0.25
"""At least so long after an attempt to connect that failed, the next ones fail at once."""

HINT = "[audit].store in sovereign.toml; is the server there, and may we write?"
PAGE = 4096
_HOLD = HOLD.encode()
_SEQ = re.compile(rb'"seq":(\d+),').search
_SOURCE = re.compile(rb'"source":"([^"]*)"').search

_TABLES = """
CREATE TABLE record_{n} (idx bigint PRIMARY KEY, bytes bytea NOT NULL, leaf bytea NOT NULL,
    source text NOT NULL, seq bigint NOT NULL, held boolean NOT NULL, UNIQUE (source, seq));
CREATE INDEX ON record_{n} (idx) WHERE held;
CREATE TABLE checkpoint_{n} (size bigint PRIMARY KEY, note text NOT NULL, frontier bytea NOT NULL);
"""


class Session:
    """One connection, made again when it is lost. Used by one thread at a time."""

    def __init__(self, url: str, password: str | None) -> None:
        """Raises :class:`LogUnavailable` if the database cannot be reached, or would acknowledge
        what it has not made durable."""
        self._url, self._password = url, password
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._warned = self._inside = False
        self._not_before = 0.0
        self.watch = Watch(SECONDS + 1)
        try:
            self.connected()
        except BaseException:
            self.watch.close()
            raise

    def connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The connection."""
        if self._connection is None or self._connection.closed:
            if self._inside:  # a new one would write outside of the transaction, without its lock
                raise LogUnavailable("audit log: the database was lost within a transaction")
            if time.monotonic() < self._not_before:
                raise LogUnavailable("audit log: the database was not there just now", hint=HINT)
            began = time.monotonic()
            try:
                self._connection = self._connect()
            except BaseException:
                # As long as it took to find out, others are told at once.
                now = time.monotonic()
                self._not_before = now + max(PAUSE_SECONDS, now - began)
                raise
        return self._connection

    def run(self, statement: str, *values: object) -> psycopg.Cursor[tuple[Any, ...]]:
        """Our own fixed text, and values as parameters."""
        connection = self.connected()
        with self.watch.over(connection.fileno()):
            return connection.execute(statement, values or None)

    @contextlib.contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """With ``write`` the only one that writes, and durable at its end."""
        with self.errors():
            connection = self.connected()
            if write:
                self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                self.run("SELECT pg_advisory_xact_lock(%s)", LOCK)
            else:
                self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._inside = True
            try:
                yield
                self._warned = False
                # A connection that was lost meanwhile must not be made anew for these words.
                with self.watch.over(connection.fileno()):
                    done = connection.execute("COMMIT").statusmessage
                if done != "COMMIT" or self._warned:
                    # "canceling wait for synchronous replication" is only a warning to the server.
                    raise LogUnavailable("audit log: the database did not make it durable")
            except BaseException:
                self._undo(connection)
                raise
            finally:
                self._inside = False

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """psycopg's errors as ours, by kind only."""
        import psycopg

        try:
            yield
        except psycopg.errors.IntegrityError as e:
            raise LogTampered(
                f"audit log: the database holds what should not be there ({type(e).__name__})",
                hint="somebody else writes its tables; `sovereign audit verify`",
            ) from None
        except psycopg.Error as e:
            self.close()  # what it was doing is undone, and its lock is free
            raise LogUnavailable(
                f"audit log: the database: {type(e).__name__}",
                hint=HINT,
            ) from None

    def close(self) -> None:
        """Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _undo(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """What is left open by an error must not hide why."""
        import psycopg

        try:
            if not connection.closed:
                with self.watch.over(connection.fileno()):
                    connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            import psycopg
        except ImportError:
            raise MissingExtra("psycopg", "postgres") from None
        limits = {
            "statement_timeout": SECONDS * 1000,
            "lock_timeout": SECONDS * 1000,
            "idle_in_transaction_session_timeout": SECONDS * 1000,
            "client_connection_check_interval": 1000,
            "search_path": SCHEMA,
        }
        with self.errors():
            connection = psycopg.connect(
                self._url,
                password=self._password,
                autocommit=True,
                application_name="sovereign-audit",
                connect_timeout=SECONDS,
                target_session_attrs="read-write",
                options=" ".join(f"-c {name}={value}" for name, value in limits.items()),
                keepalives_idle=2,
                keepalives_interval=1,
                keepalives_count=2,
                tcp_user_timeout=SECONDS * 1000,
            )
            connection.add_notice_handler(self._notice)
            try:
                with self.watch.over(connection.fileno()):
                    self._demand(connection)
                # A predecessor of ours may still be committing. Once we have had the lock, what
                # we read is what came of it.
                with self.watch.over(connection.fileno()), connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            except BaseException:
                connection.close()
                raise
        return connection

    def _demand(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Durable means durable."""
        for name, weak in (("fsync", "off"), ("full_page_writes", "off")):
            (said,) = connection.execute(
                "SELECT setting FROM pg_settings WHERE name = %s", (name,)
            ).fetchone() or ("",)
            if said == weak:
                raise LogUnavailable(
                    f"audit log: the database runs with {name} = {said}",
                    hint="a crash of its machine would lose acknowledged records: turn it on",
                )
        (commit,) = connection.execute("SHOW synchronous_commit").fetchone() or ("",)
        if commit == "off":
            connection.execute("SET synchronous_commit = on")

    def _notice(self, said: Any) -> None:
        self._warned |= said.severity_nonlocalized == "WARNING"


class PostgresStore:
    """Log ``number``."""

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._n = number

    def close(self) -> None:
        """The session is :class:`PostgresLogs`' own."""

    def batch(self, *, write: bool = True) -> contextlib.AbstractContextManager[None]:
        return self._session.transaction(write=write)

    def size(self) -> int:
        ((size,),) = self._read("SELECT coalesce(max(idx) + 1, 0) FROM record_{n}")
        return int(size)

    def last(self) -> tuple[int, bytes] | None:
        rows = self._read("SELECT idx, leaf FROM record_{n} ORDER BY idx DESC LIMIT 1")
        return (int(rows[0][0]), bytes(rows[0][1])) if rows else None

    def records(self, start: int, stop: int) -> Iterator[Row]:
        while start < stop:
            rows = self._read(
                "SELECT idx, bytes, leaf FROM record_{n} WHERE idx >= %s AND idx < %s"
                " ORDER BY idx LIMIT %s",
                start,
                stop,
                PAGE,
            )
            if not rows:
                return
            yield from rows
            start = rows[-1][0] + 1

    def of_source(self, source: str) -> Iterator[tuple[int, bytes]]:
        before = 2**62
        while rows := self._read(
            "SELECT seq, idx, bytes FROM record_{n} WHERE source = %s AND seq < %s"
            " ORDER BY seq DESC LIMIT %s",
            source,
            before,
            PAGE,
        ):
            yield from ((index, data) for _, index, data in rows)
            before = rows[-1][0]

    def holds(self) -> Iterator[tuple[int, bytes]]:
        yield from self._read("SELECT idx, bytes FROM record_{n} WHERE held ORDER BY idx")

    def put(self, rows: Iterable[Row]) -> None:
        connection = self._session.connected()
        with (
            self._session.errors(),
            self._session.watch.over(connection.fileno()),
            connection.cursor() as cursor,
        ):
            columns = "idx, bytes, leaf, source, seq, held"
            statement = f"COPY record_{self._n} ({columns}) FROM STDIN (FORMAT BINARY)"
            with cursor.copy(statement) as copy:
                copy.set_types(["int8", "bytea", "bytea", "text", "int8", "bool"])
                for index, data, leaf in rows:
                    source, seq = _SOURCE(data), _SEQ(data)
                    if source is None or seq is None:
                        raise LogUnavailable("audit log: a record has no source or number")
                    whose = source[1].decode("ascii")
                    copy.write_row((index, data, leaf, whose, int(seq[1]), _HOLD in data))

    def last_checkpoint(self, *, at_most: int | None = None) -> StoredCheckpoint | None:
        rows = self._read(
            "SELECT size, note, frontier FROM checkpoint_{n} WHERE size <= %s"
            " ORDER BY size DESC LIMIT 1",
            2**62 if at_most is None else at_most,
        )
        return StoredCheckpoint(*rows[0]) if rows else None

    def checkpoints(self, after: int) -> Iterator[StoredCheckpoint]:
        """All that are greater than ``after``, in order."""
        for row in self._read(
            "SELECT size, note, frontier FROM checkpoint_{n} WHERE size > %s ORDER BY size", after
        ):
            yield StoredCheckpoint(*row)

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        with self._session.errors():
            self._session.run(
                f"INSERT INTO checkpoint_{self._n} VALUES (%s, %s, %s)",  # noqa: S608 - a number
                checkpoint.size,
                checkpoint.note,
                checkpoint.frontier,
            )

    def _read(self, statement: str, *values: object) -> list[Any]:
        with self._session.errors():
            return self._session.run(statement.format(n=self._n), *values).fetchall()


class PostgresLogs:
    """The chain in schema ``sovereign_audit`` of one database."""

    def __init__(self, url: str, password: str | None) -> None:
        """Raises :class:`LogUnavailable`, :class:`MissingExtra`."""
        self._session = Session(url, password)

    def numbers(self) -> list[int]:
        """Of the logs whose records are there, in order."""
        with self._session.errors():
            rows = self._session.run(
                "SELECT substr(tablename, 8)::int FROM pg_tables WHERE schemaname = %s"
                " AND tablename ~ '^record_[0-9]+$'",
                SCHEMA,
            ).fetchall()
        return sorted(number for (number,) in rows)

    def finals(self) -> dict[int, str]:
        """What is left of the logs whose records were deleted, by number."""
        if not self.numbers():
            return {}
        with self._session.errors():
            return dict(self._session.run("SELECT log, proof FROM final ORDER BY log").fetchall())

    def newest(self) -> int:
        return max(self.numbers(), default=1)

    def open(self, number: int) -> PostgresStore:
        if number not in self.numbers():
            with self._session.transaction():
                if number not in self.numbers():
                    self._make(number)
        return PostgresStore(self._session, number)

    def begin(self, number: int, rows: list[Row], checkpoint: StoredCheckpoint) -> None:
        with self._session.transaction():
            if number in self.numbers():
                return
            self._make(number)
            store = PostgresStore(self._session, number)
            store.put(rows)
            store.put_checkpoint(checkpoint)

    def drop(self, number: int, final: str) -> None:
        with self._session.transaction():
            self._session.run("INSERT INTO final VALUES (%s, %s)", number, final)
            self._session.run(f"DROP TABLE record_{number}, checkpoint_{number}")

    def close(self) -> None:
        self._session.close()
        self._session.watch.close()

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with self._session.transaction(write=False):
            yield

    def _make(self, number: int) -> None:
        self._session.run(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        self._session.run("CREATE TABLE IF NOT EXISTS final (log integer PRIMARY KEY, proof text)")
        for statement in filter(str.strip, _TABLES.format(n=number).split(";")):
            self._session.run(statement)
