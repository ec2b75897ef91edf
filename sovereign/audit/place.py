"""Where a log is and when it is rotated: what whoever opens it has to know, besides the key."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.audit.chain import NEVER, Rotation
from sovereign.audit.store import Logs
from sovereign.audit.store.folders import Folders

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """``folder`` is local: socket, spool, anchors, and the records too unless ``store`` is a
    PostgreSQL URL. Its password is in the environment variable ``password_env``, never here."""

    folder: Path
    store: str | None = None
    password_env: str | None = None
    rotation: Rotation = NEVER

    @classmethod
    def of(cls, config: Config) -> Place:
        """What ``[audit]`` says."""
        audit = config.audit
        rotation = Rotation(audit.rotate, audit.rotate_records)
        return cls(config.resolve(audit.path), audit.store, audit.store_password_env, rotation)

    def logs(self) -> Logs:
        """The storage. Raises :class:`LogUnavailable` if it cannot be reached."""
        if self.store is None:
            return Folders(self.folder)
        from sovereign.audit.store.postgres import PostgresLogs

        return PostgresLogs(self.store, self.password())

    def password(self) -> str | None:
        """The database's password, if one is named and set."""
        return os.environ.get(self.password_env) if self.password_env else None

    def arguments(self) -> list[str]:
        """For a command line that :meth:`given` reads."""
        said = ["--folder", str(self.folder.absolute())]
        said += ["--rotate", self.rotation.every, "--rotate-records", str(self.rotation.records)]
        if self.store is not None:
            said += ["--store", self.store]
        if self.password_env is not None:
            said += ["--store-password-env", self.password_env]
        return said

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """Let ``parser`` take :meth:`arguments`."""
        parser.add_argument("--folder", type=Path, required=True)
        parser.add_argument("--store")
        parser.add_argument("--store-password-env")
        parser.add_argument("--rotate", default="never")
        parser.add_argument("--rotate-records", type=int, default=NEVER.records)

    @classmethod
    def given(cls, args: argparse.Namespace) -> Place:
        """The place that :meth:`arguments` named."""
        rotation = Rotation(args.rotate, args.rotate_records)
        return cls(args.folder, args.store, args.store_password_env, rotation)
