"""What a scan has done and found, in one SQLite file: what makes it resumable, and incremental.

Findings and the place that was reached go in together, so that a scan that is killed goes on as if
it had not been. No text is in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sovereign.errors import ScanError
from sovereign.scan.finding import COLUMNS, Finding
from sovereign.scan.walk import Found, Skipped
from sovereign.types import JSON

__all__ = ["Batch", "Cuts", "State", "Task", "Totals"]

VERSION = "5"
_STORED = tuple(c for c in COLUMNS if c != "file")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, size INTEGER NOT NULL,
    begin INTEGER NOT NULL DEFAULT 0, stop INTEGER, line INTEGER NOT NULL DEFAULT 1,
    whole INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL, head TEXT NOT NULL DEFAULT '', grows INTEGER NOT NULL DEFAULT 0,
    resume INTEGER NOT NULL DEFAULT 0, prior INTEGER NOT NULL DEFAULT 0,
    first INTEGER NOT NULL DEFAULT 0, records INTEGER NOT NULL DEFAULT 0,
    characters INTEGER NOT NULL DEFAULT 0, looked INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0, part_calls INTEGER NOT NULL DEFAULT 0,
    part_records INTEGER NOT NULL DEFAULT 0, part_characters INTEGER NOT NULL DEFAULT 0,
    part_looked INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0,
    listed INTEGER NOT NULL DEFAULT 1, UNIQUE (path, begin));
CREATE TABLE IF NOT EXISTS finding (
    file_id INTEGER NOT NULL, {", ".join(_STORED)},
    UNIQUE (file_id, member, number, field, start, "end", entity));
CREATE TABLE IF NOT EXISTS unread (
    file_id INTEGER, path TEXT NOT NULL, member TEXT NOT NULL, number INTEGER,
    reason TEXT NOT NULL, UNIQUE (path, member, number, reason));
""".replace(" end,", ' "end",')


@dataclass(frozen=True, slots=True)
class Task:
    """A file, or what is left of it; or of a slice of it: from byte ``begin``, which is in line
    ``line``, to ``stop``, or to the end. ``bytes`` is how much that is in all; ``whole``: it cannot
    be cut."""

    id: int
    path: str
    resume: int
    head: str
    bytes: int
    begin: int = 0
    stop: int | None = None
    line: int = 1
    whole: int = 0


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a file is to be cut: bytes and numbers of lines; whether it ``grows``, and its head."""

    id: int
    grows: bool
    head: str
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker did with a part of a file. ``resume`` is where the next part starts, ``prior``
    where this one did, ``first`` the number of its first record. ``grows``: what is appended to the
    file are further records. ``calls`` are the records that tell of a call to a model API."""

    id: int
    findings: tuple[Finding, ...]
    unread: tuple[tuple[str, int | None, str], ...]
    resume: int
    prior: int
    first: int
    records: int
    characters: int
    looked: int
    calls: int
    grows: bool
    head: str
    done: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over everything. ``looked`` are the characters that recognisers read."""

    files: int
    done: int
    bytes: int
    records: int
    characters: int
    looked: int
    calls: int
    findings: int
    unread: int


class State:
    """One scan's file. Used by one process; others are refused."""

    def __init__(self, path: Path, facts: dict[str, str]) -> None:
        """``facts`` are what findings depend on: a scan that was begun with others is not gone on
        with. Raises :class:`ScanError`."""
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._db.close()
            raise ScanError(f"{path}: another scan works on it") from None
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        known = dict(self._db.execute("SELECT key, value FROM meta"))
        wanted = {"version": VERSION, **facts}
        if known and known != wanted:
            changed = ", ".join(sorted(k for k in wanted if known.get(k) != wanted[k]))
            self._db.execute("ROLLBACK")
            raise ScanError(f"{path}: was begun with another {changed}", hint="--fresh begins anew")
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", wanted.items())
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    # ---- what there is to do -------------------------------------------------------------------

    def listed(self, there: Sequence[Found | Skipped]) -> list[Task]:
        """Take in what the paths hold now, and say what is left to do, the largest file first. A
        file that changed is scanned anew; one of lines that only grew, from its last part on."""
        with self._transaction():
            self._db.execute("UPDATE file SET listed = 0")
            self._db.execute("DELETE FROM unread WHERE file_id IS NULL")
            for one in there:
                if isinstance(one, Skipped):
                    self._unread(None, one.path, "", None, one.reason)
                else:
                    self._file(one)
            gone = "(SELECT id FROM file WHERE listed = 0)"
            for table in ("finding", "unread"):
                self._db.execute(f"DELETE FROM {table} WHERE file_id IN {gone}")  # noqa: S608
            self._db.execute("DELETE FROM file WHERE listed = 0")
        return self._tasks("done = 0 ORDER BY size DESC, path, begin")

    def _tasks(self, which: str, *values: object) -> list[Task]:
        rows = self._db.execute(
            "SELECT id, path, resume, head, coalesce(stop, size) - begin, begin, stop, line, whole"  # noqa: S608
            f" FROM file WHERE {which}",
            values,
        )
        return [Task(*row) for row in rows]

    def split(self, cuts: Cuts) -> list[Task]:
        """The slices of a file that nothing was done with yet, in order."""
        stops: list[int | None] = [place for place, _ in cuts.places]
        with self._transaction():
            path = self._path(cuts.id)
            if path is None:
                return []
            self._db.execute(
                "UPDATE file SET stop = ?, head = ?, grows = ? WHERE id = ?",
                (stops[0], cuts.head, cuts.grows, cuts.id),
            )
            self._db.executemany(
                "INSERT INTO file (path, size, changed, head, grows, begin, stop, line, resume)"
                " SELECT path, size, changed, head, grows, ?, ?, ?, ? FROM file WHERE id = ?",
                [
                    (begin, stop, line, begin, cuts.id)
                    for (begin, line), stop in zip(cuts.places, [*stops[1:], None], strict=True)
                ],
            )
        return self._tasks("path = ? ORDER BY begin", path)

    def slices(self, path: str) -> list[Task]:
        """The parts that a file was read in, each as a task from its start."""
        tasks = self._tasks("path = ? ORDER BY begin", path)
        return [replace(task, resume=task.begin) for task in tasks]

    def _path(self, number: int) -> str | None:
        found = self._db.execute("SELECT path FROM file WHERE id = ?", (number,)).fetchone()
        return None if found is None else str(found[0])

    def _file(self, found: Found) -> None:
        known = self._db.execute(
            "SELECT id, size, changed, grows, prior, first FROM file WHERE path = ? ORDER BY begin",
            (found.path,),
        ).fetchall()
        if not known:
            self._new(found)
            return
        self._db.execute("UPDATE file SET listed = 1 WHERE path = ?", (found.path,))
        number, size, changed, _, prior, first = known[-1]
        if (size, changed) == (found.size, found.changed):
            return
        if found.size < size or not all(one[3] for one in known):
            self._forget(found.path)
            self._new(found)
            return
        for table in ("finding", "unread"):
            # Its last part is read again: it may have ended in the middle of a record.
            self._db.execute(
                f"DELETE FROM {table} WHERE file_id = ? AND (number IS NULL OR number >= ?)",  # noqa: S608
                (number, first),
            )
        self._db.execute(
            "UPDATE file SET size = ?, changed = ? WHERE path = ?",
            (found.size, found.changed, found.path),
        )
        self._db.execute(
            "UPDATE file SET resume = ?, done = 0, records = records - part_records,"
            " characters = characters - part_characters, looked = looked - part_looked,"
            " calls = calls - part_calls, part_records = 0, part_characters = 0, part_looked = 0,"
            " part_calls = 0 WHERE id = ?",
            (prior, number),
        )

    def _new(self, found: Found, *, whole: bool = False) -> None:
        self._db.execute(
            "INSERT INTO file (path, size, changed, whole) VALUES (?, ?, ?, ?)",
            (found.path, found.size, found.changed, whole),
        )

    def _forget(self, path: str) -> None:
        """All slices of a file."""
        for table in ("finding", "unread"):
            self._db.execute(
                f"DELETE FROM {table} WHERE file_id IN (SELECT id FROM file WHERE path = ?)",  # noqa: S608
                (path,),
            )
        self._db.execute("DELETE FROM file WHERE path = ?", (path,))

    def again(self, task: Task, *, whole: bool = False) -> Task | None:
        """The file of ``task`` from its start: what was taken for the same file, grown, is another
        one; or it cannot be cut, and is a ``whole``. None if that is so already."""
        with self._transaction():
            found = self._db.execute(
                "SELECT path, size, changed FROM file WHERE id = ?", (task.id,)
            ).fetchone()
            if found is None:
                return None
            self._forget(found[0])
            self._new(Found(*found), whole=whole)
        return self._tasks("path = ?", found[0])[0]

    # ---- what was done -------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Findings and progress, together."""
        marks = ", ".join("?" * (1 + len(_STORED)))
        names = ", ".join(f'"{c}"' for c in _STORED)
        with self._transaction():
            path = self._path(batch.id)
            if path is None:
                return  # a slice of what turned out to be another file, or not to be cut
            self._db.executemany(
                f"INSERT OR IGNORE INTO finding (file_id, {names}) VALUES ({marks})",  # noqa: S608
                [
                    (batch.id, *(v for c, v in zip(COLUMNS, f.row(), strict=True) if c != "file"))
                    for f in batch.findings
                ],
            )
            for member, number, reason in batch.unread:
                self._unread(batch.id, path, member, number, reason)
            self._db.execute(
                "UPDATE file SET resume = ?, prior = ?, first = ?, records = records + ?,"
                " characters = characters + ?, looked = looked + ?, calls = calls + ?,"
                " part_records = ?, part_characters = ?, part_looked = ?, part_calls = ?,"
                " grows = ?, head = ?, done = ? WHERE id = ?",
                (
                    *(batch.resume, batch.prior, batch.first, batch.records, batch.characters),
                    *(batch.looked, batch.calls, batch.records, batch.characters, batch.looked),
                    *(batch.calls, batch.grows, batch.head, batch.done, batch.id),
                ),
            )

    def _unread(
        self, file: int | None, path: str, member: str, number: int | None, reason: str
    ) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO unread VALUES (?, ?, ?, ?, ?)",
            (file, path, member, number, reason),
        )

    # ---- what was found ------------------------------------------------------------------------

    def totals(self) -> Totals:
        one = self._db.execute(
            "SELECT count(DISTINCT path),"
            " count(DISTINCT path) - count(DISTINCT CASE WHEN done = 0 THEN path END),"
            " coalesce(sum(coalesce(stop, size) - begin), 0), coalesce(sum(records), 0),"
            " coalesce(sum(characters), 0), coalesce(sum(looked), 0), coalesce(sum(calls), 0)"
            " FROM file"
        ).fetchone()
        findings = self._db.execute("SELECT count(*) FROM finding").fetchone()[0]
        unread = self._db.execute("SELECT count(*) FROM unread").fetchone()[0]
        return Totals(*[int(n) for n in (*one, findings, unread)])

    def findings(self) -> Iterator[dict[str, JSON]]:
        """Every finding, in the order of files and places, as a flat object."""
        names = ", ".join(f'finding."{c}"' for c in _STORED)
        rows = self._db.execute(
            f"SELECT file.path, {names} FROM finding JOIN file ON file.id = file_id"  # noqa: S608
            ' ORDER BY file.path, member, number, field, start, "end", entity'
        )
        for row in rows:
            yield dict(zip(("file", *_STORED), row, strict=True))

    def unread(self) -> list[tuple[str, str, int | None, str]]:
        """(path, member, number, reason) of what was not read."""
        return self._db.execute(
            "SELECT path, member, number, reason FROM unread ORDER BY path, member, number"
        ).fetchall()

    def tally(self, *columns: str) -> list[tuple[tuple[JSON, ...], int]]:
        """How many findings have which values in ``columns``, the most first."""
        assert set(columns) <= set(COLUMNS)
        names = ", ".join("file.path" if c == "file" else f'finding."{c}"' for c in columns)
        rows = self._db.execute(
            f"SELECT {names}, count(*) AS n FROM finding JOIN file ON file.id = file_id"  # noqa: S608
            f" GROUP BY {names} ORDER BY n DESC, {names}"
        )
        return [(tuple(row[:-1]), row[-1]) for row in rows]

    def months(self) -> tuple[dict[str, dict[str, int]], int]:
        """Findings by month (UTC, ``2026-11``) and direction; and how many tell no time."""
        found: dict[str, dict[str, int]] = {}
        untimed = 0
        rows = self._db.execute(
            "SELECT strftime('%Y-%m', time, 'unixepoch'), direction, count(*) FROM finding"
            " GROUP BY 1, 2 ORDER BY 1"
        )
        for month, direction, n in rows:
            if month is None:
                untimed += n
            else:
                found.setdefault(month, {})[direction] = n
        return found, untimed

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
