"""A real PostgreSQL server of the tests' own, on a Unix socket in a temporary folder.

Debian: apt-get install postgresql. The server refuses root, so root runs it in a user namespace in
which it is somebody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

HINT = "no PostgreSQL server here: apt-get install postgresql (any version from 13 on)"


def programs() -> Path | None:
    """The folder of initdb and postgres, the newest version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    return found[-1].parent if found else None


def _version(path: Path) -> int:
    return int(path.parent.parent.name)


class Cluster:
    """``url`` is what goes into ``[audit].store``. The socket needs no password; TCP is off."""

    def __init__(self, folder: Path, *, options: tuple[str, ...] = ()) -> None:
        self._bin = programs()
        assert self._bin is not None, HINT
        self.folder = folder
        self.data = folder / "data"
        self.url = f"postgresql:///postgres?host={folder}&user=postgres"
        self._options = options
        self._server: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        made = [str(self._bin / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust"]
        self._run([*made, "-E", "UTF8", "--locale", "C", "--no-sync"])

    def start(self) -> None:
        """Return once it answers."""
        assert self._bin is not None
        command = [str(self._bin / "postgres"), "-D", str(self.data), "-k", str(self.folder)]
        for option in ("listen_addresses=", "shared_buffers=16MB", *self._options):
            command += ["-c", option]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [*_as_somebody(), *command], stdout=log, stderr=log, start_new_session=True
            )
        ready = [str(self._bin / "pg_isready"), "-q", "-h", str(self.folder), "-U", "postgres"]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is a crash: no checkpoint, sessions cut, recovery at the next start."""
        if self._server is None:
            return
        kind = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, kind)
        self._server.wait(timeout=30)
        self._server = None

    def freeze(self) -> None:
        """It answers nobody, and its sockets stay open: a hung machine."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and its children: each backend is a process of its own."""
        main = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        task = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, task)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def psql(self, statement: str) -> str:
        """What ``psql`` prints for it, bare."""
        command = ["psql", "-XAtq", "-h", str(self.folder), "-U", "postgres", "-d", "postgres"]
        return subprocess.run(
            [*command, "-c", statement], check=True, capture_output=True, text=True
        ).stdout.strip()

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            [*_as_somebody(), *command], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]


def _as_somebody() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
