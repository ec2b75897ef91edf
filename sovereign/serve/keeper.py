"""Keeps a program that is not ours as an engine: closed off, at a private socket, and never alone.

``python -m sovereign.serve.keeper --socket PATH [--network] [--drains] -- PROGRAM ...``: it runs
in an empty network namespace of its own, with a loopback that only its own processes see, listens
where :data:`~sovereign.serve.launch.SOCKET` stands in its arguments, and ends when our standard
input does.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from sovereign.errors import ServeError
from sovereign.serve import cell
from sovereign.serve.launch import SOCKET

__all__ = ["main"]

POLL_S = 0.1
QUIET = 5
_PR_SET_PDEATHSIG = 1


def main(argv: list[str] | None = None) -> int:
    """Exit status: the program's own; it dies of the signal that the program died of. 1 if it could
    not be started (an ``error:`` line says why)."""
    parser = argparse.ArgumentParser(prog="sovereign-keeper", allow_abbrev=False)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--drains", action="store_true")
    parser.add_argument("program", nargs="+")
    args = parser.parse_args(argv)
    status = cell.run(lambda: _keep(args))
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL's cannot be set
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _keep(args: argparse.Namespace) -> int:
    if not args.network and cell.close_off():
        cell.raise_loopback()
    cell.claim(args.socket)
    # Its own path is nobody else's, so that it cannot remove the socket of who comes after it.
    own = args.socket.with_name(f"{os.getpid()}.sock")
    own.unlink(missing_ok=True)
    argv = [str(own) if part == SOCKET else part for part in args.program]
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=_die_with_us)
    except OSError as e:
        raise ServeError(
            f"cannot start {argv[0]}: {e.strerror}", hint="name it in full: program = […]"
        ) from None
    cell.die_with_stdin()
    leaving = False

    def leave(*_: object) -> None:
        nonlocal leaving
        leaving = True

    signal.signal(signal.SIGUSR1, leave)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    ours: int | None = None
    told = False
    quiet = 0
    try:
        while child.poll() is None:
            if ours is None and _answers(own):
                ours = own.stat().st_ino
                own.replace(args.socket)
            if leaving and not told:
                quiet = 0 if _connections(own) else quiet + 1
                if args.drains or quiet >= QUIET:
                    child.terminate()
                    told = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(POLL_S)
        return child.returncode
    finally:
        own.unlink(missing_ok=True)
        cell.give_up(args.socket, ours)


def _die_with_us() -> None:
    # The thread that starts it is our main one, which ends with us. Without it, a kill -9 of this
    # process and of its supervisor would leave a program that nobody knows of.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _connections(path: Path) -> int:
    """How many are connected to the socket that was bound at ``path``: lines of proc_net_unix(5)
    that say so, in state 3 (SS_CONNECTED)."""
    found = 0
    for line in Path("/proc/self/net/unix").read_text("utf-8", "replace").splitlines()[1:]:
        parts = line.split(None, 7)
        found += len(parts) == 8 and parts[5] == "03" and parts[7] == str(path)
    return found


if __name__ == "__main__":
    sys.exit(main())
