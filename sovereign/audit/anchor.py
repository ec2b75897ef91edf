"""The two small files beside the database: who signs (``log.pub``), and the last checkpoint.

They are for people to copy elsewhere. A copy outside is what shows that a log was rolled back.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from sovereign.audit.durable import sync_names
from sovereign.audit.note import MAX_NOTE, Checkpoint, Verifier, open_checkpoint
from sovereign.errors import ConfigError, LogTampered, LogUnavailable

__all__ = ["CHECKPOINT", "COSIGNED", "PUBLIC_KEY", "Anchor"]

PUBLIC_KEY = "log.pub"
CHECKPOINT = "checkpoint"
COSIGNED = "cosigned"
"""The newest checkpoint that a witness has cosigned."""
PATIENCE_SECONDS = 2.0


class Anchor:
    """``log.pub`` and ``checkpoint`` in ``folder``, as ``verifier`` means them."""

    def __init__(self, folder: Path, verifier: Verifier) -> None:
        self._folder = folder
        self._verifier = verifier

    def check_key(self) -> None:
        """Raises :class:`ConfigError` if the log was begun with another key or origin."""
        known = self._read(PUBLIC_KEY)
        if known is None or known.strip() == str(self._verifier):
            return
        pinned = Verifier.parse(known)
        if pinned.name != self._verifier.name:
            raise ConfigError(
                f"{self._folder} is the log of {pinned.name}, not of {self._verifier.name}",
                hint="[audit].origin names the log; give a new log a new [audit].path",
            )
        raise ConfigError(
            f"the key is not the one that signs the log in {self._folder}",
            hint="bring back the key that [audit].key_file named, or start a log in a new folder",
        )

    def pin_key(self) -> None:
        """Write ``log.pub``, if it is not there."""
        if self._read(PUBLIC_KEY) is None:
            self._write(PUBLIC_KEY, f"{self._verifier}\n")

    def checkpoint(self) -> Checkpoint | None:
        """What the file ``checkpoint`` says. Raises :class:`LogTampered` if it is not ours."""
        note = self._read(CHECKPOINT)
        return None if note is None else open_checkpoint(note, self._verifier)

    def newest(self) -> Checkpoint | None:
        """The greatest that we published, or that a witness cosigned and we kept."""
        kept = self._read(COSIGNED)
        known = [self.checkpoint(), None if kept is None else open_checkpoint(kept, self._verifier)]
        return max(filter(None, known), key=lambda c: c.size, default=None)

    def publish(self, note: str, size: int) -> None:
        """Put ``note`` into the file ``checkpoint``, unless a later one is there already.

        Several processes do so, one at a time. Whoever waited too long (a stopped process keeps its
        lock) goes on: at worst the file is a moment old, and the database has the newest.
        """
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _wait_for_lock(folder)
            there = self.checkpoint()
            if there is None or there.size < size:
                self._write(CHECKPOINT, note)
        finally:
            os.close(folder)

    def _read(self, name: str) -> str | None:
        try:
            # A pipe that somebody put there is not waited for.
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                return file.read(MAX_NOTE + 1).decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise LogTampered(f"{self._folder / name} is not text") from None
        except OSError as e:
            raise LogUnavailable(f"{self._folder / name}: {e.strerror}") from None

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all."""
        staged = self._folder / f".{name}.{os.getpid()}"
        try:
            staged.unlink(missing_ok=True)
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            staged.replace(self._folder / name)
            sync_names(self._folder)
        except OSError as e:
            staged.unlink(missing_ok=True)
            raise LogUnavailable(f"{self._folder / name}: {e.strerror}") from None


def _wait_for_lock(folder: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return
            time.sleep(0.001)
        else:
            return
