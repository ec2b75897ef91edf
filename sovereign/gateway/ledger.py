"""What callers left at destinations: which team made it, and where it is. Only ids are kept.

All callers share the gateway's key there, so without this any of them could read another's files,
conversations and batches by their id. What is not in it did not pass here, and does not exist.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sovereign.errors import ConfigError

__all__ = ["Ledger", "Owner"]

BUSY_MS = 5000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose something is, and the name of the destination that has it."""

    team: str
    destination: str


class Ledger:
    """A small SQLite file that all workers of a gateway share. Thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        """Without ``path`` it lasts as long as the process. Raises :class:`ConfigError`."""
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.touch(mode=0o600)  # before it is opened: what lies beside it has its mode
                path.chmod(0o600)
            self._db = sqlite3.connect(
                path or ":memory:", check_same_thread=False, isolation_level=None
            )
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY, team TEXT NOT NULL, "
                "destination TEXT NOT NULL) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as e:
            raise ConfigError(f"{path}: the ledger cannot be opened ({type(e).__name__})") from None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Ledger()"

    def own(self, ids: Iterable[str], team: str, destination: str) -> None:
        """From now on these belong to ``team``. Who has one already keeps it."""
        rows = [(id, team, destination) for id in ids]
        if rows:
            with self._lock:
                self._db.executemany("INSERT OR IGNORE INTO held VALUES (?, ?, ?)", rows)

    def owner(self, id: str) -> Owner | None:
        """Who has it, if anybody."""
        with self._lock:
            row = self._db.execute(
                "SELECT team, destination FROM held WHERE id = ?", (id,)
            ).fetchone()
        return None if row is None else Owner(*row)

    def mine(self, id: str, team: str, destination: str) -> bool:
        """Whether ``team`` left ``id`` at ``destination``."""
        return self.owner(id) == Owner(team, destination)

    def close(self) -> None:
        self._db.close()
