"""A chain of logs as folders, each with a database of its own.

The first log is in the chain's folder itself, the others in ``logs/0002``, ``logs/0003``, …. A log
that has ended stays where it is, and is a whole log to whoever reads or copies that folder.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from sovereign.audit.durable import locked, sync_names, write_whole
from sovereign.audit.store import Row, StoredCheckpoint
from sovereign.audit.store.sqlite import FILE, SQLiteStore
from sovereign.errors import LogUnavailable

__all__ = ["FINAL", "LOGS", "Folders", "folder_of", "newest_folder", "numbers_in"]

LOGS = "logs"
FINAL = "final.tlog-proof"
"""What is left of a log whose records were deleted: its first record under its final checkpoint."""
_NUMBER = re.compile("[0-9]{4}|[1-9][0-9]{4,}")


def folder_of(chain: Path, number: int) -> Path:
    """The folder of log ``number``."""
    return chain if number == 1 else chain / LOGS / f"{number:04}"


def numbers_in(chain: Path) -> list[int]:
    """The numbers of the logs that have a folder, in order; the first always has one."""
    try:
        names = [entry.name for entry in (chain / LOGS).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return [1]
    except OSError as e:
        raise LogUnavailable(
            f"audit log: cannot read {chain}: {e.strerror}",
            hint="ask as the user who owns the log, or give a copy with --path",
        ) from None
    return [1, *sorted(int(name) for name in names if _NUMBER.fullmatch(name) and int(name) > 1)]


def newest_folder(chain: Path) -> Path:
    """The folder of the log that is written now."""
    return folder_of(chain, numbers_in(chain)[-1])


class Folders:
    """The chain in one folder of a local disk."""

    def __init__(self, chain: Path) -> None:
        self._chain = chain

    def newest(self) -> int:
        return numbers_in(self._chain)[-1]

    def open(self, number: int) -> SQLiteStore:
        return SQLiteStore(folder_of(self._chain, number) / FILE)

    def begin(self, number: int, rows: list[Row], checkpoint: StoredCheckpoint) -> None:
        """Made beside, renamed when it is durable: what was killed half way is made anew."""
        logs, target = self._chain / LOGS, folder_of(self._chain, number)
        with locked(logs):
            if target.exists():
                return
            staged = logs / ".next"
            try:
                shutil.rmtree(staged, ignore_errors=True)
                staged.mkdir(mode=0o700)
                store = SQLiteStore(staged / FILE)
                with contextlib.closing(store), store.batch():
                    store.put(rows)
                    store.put_checkpoint(checkpoint)
                # Closing folded the write-ahead log into the database, and fsynced that.
                if (staged / f"{FILE}-wal").exists():
                    raise LogUnavailable(f"audit log: somebody has {staged} open")
                sync_names(staged)
                staged.rename(target)
            except OSError as e:
                raise LogUnavailable(f"audit log: cannot begin {target}: {e.strerror}") from None
            sync_names(logs)
            sync_names(self._chain)

    def drop(self, number: int, final: str) -> None:
        folder = folder_of(self._chain, number)
        write_whole(folder / FINAL, final.encode(), mode=0o600)
        try:
            for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-turn", "search.db"):
                (folder / name).unlink(missing_ok=True)
        except OSError as e:
            raise LogUnavailable(f"audit log: cannot delete {folder}: {e.strerror}") from None
        sync_names(folder)

    def close(self) -> None:
        """It holds nothing open."""
