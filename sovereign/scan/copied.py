"""What a rewrite has done, in one SQLite file: what makes it resumable.

A copy is put in its place whole; then its file is written down here. Who is killed between the two
copies that file again. No text is in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from sovereign.errors import ScanError
from sovereign.scan.walk import Found

__all__ = ["Copied"]


class Copied:
    """One rewrite's file. Used by one process; others are refused. ``facts`` are what copies depend
    on, and where they go. ``begun``: whether such a rewrite was begun already; if another one was,
    it is forgotten. Raises :class:`ScanError`."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._db.close()
            raise ScanError(f"{path}: another rewrite works on it") from None
        self._db.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS file (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER,"
            " replaced INTEGER)"
        )
        self.begun = dict(self._db.execute("SELECT key, value FROM meta")) == dict(facts)
        if not self.begun:
            self._db.execute("DELETE FROM meta")
            self._db.execute("DELETE FROM file")
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())

    def begin(self) -> None:
        """From here on it is kept; until then nothing of it is."""
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    def replaced(self, file: Found) -> int | None:
        """How many values were replaced in a file that is copied; None if it is not, or changed
        since."""
        found = self._db.execute(
            "SELECT replaced FROM file WHERE path = ? AND size = ? AND changed = ?",
            (file.path, file.size, file.changed),
        ).fetchone()
        return None if found is None else int(found[0])

    def add(self, file: Found, replaced: int) -> None:
        """A file is copied."""
        self._db.execute(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)",
            (file.path, file.size, file.changed, replaced),
        )
