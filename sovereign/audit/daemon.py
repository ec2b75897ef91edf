"""The sequencer as a process: one that writes a log, behind a socket that only its owner can open.

python -m sovereign.audit.daemon --folder F --key-file K --origin O [--store URL] [--linger S]
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sovereign.audit import wire
from sovereign.audit.hub import Hub
from sovereign.audit.log import opened, read_seed
from sovereign.audit.place import Place
from sovereign.errors import AuditError, LogUnavailable, SovereignError
from sovereign.types import JSON, Clock

__all__ = ["main", "serve"]

LOCK = "sequencer.lock"
BACKLOG = 128
HEARTBEAT_SECONDS = 60.0


def serve(
    place: Place,
    *,
    key: bytes,
    origin: str,
    linger: float | None = None,
    heartbeat: float = HEARTBEAT_SECONDS,
    clock: Clock = time.time,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve the log at ``place`` until SIGTERM or SIGINT. Raises :class:`SovereignError` if there
    is a sequencer already, or the log cannot be opened."""
    folder = place.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise _not_ours(folder, e) from None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(folder))
        source = f"sequencer-{secrets.token_hex(8)}"
        chain = opened(place, key=key, origin=origin, source=source, clock=clock)
        stack.callback(chain.close)
        listener = stack.enter_context(_listen(folder))
        hub = Hub(
            chain,
            listener,
            folder=folder,
            source=source,
            linger=linger,
            heartbeat=heartbeat,
        )
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        stack.enter_context(theirs)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, hub.stop)
        ready()
        hub.run(ours)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The kernel takes the lock back from a sequencer that dies."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise _not_ours(folder, e) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LogUnavailable(
                f"audit log: {folder} has a sequencer already",
                hint="clients find it by themselves; a second one is not needed",
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())  # for people, and `kill`
        yield
    finally:
        os.close(descriptor)


def _not_ours(folder: Path, why: OSError) -> LogUnavailable:
    return LogUnavailable(
        f"audit log: cannot write in {folder}: {why.strerror}",
        hint="run it as the user who owns the folder, or name another in [audit].path",
    )


@contextlib.contextmanager
def _listen(folder: Path) -> Iterator[socket.socket]:
    """A socket that only its owner can open, and that listens before it has its name."""
    staged = folder / f".{wire.SOCKET}"
    staged.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with wire.address(folder, staged.name) as name:
            before = os.umask(0o177)
            try:
                listener.bind(name)
            finally:
                os.umask(before)
        listener.listen(BACKLOG)
        staged.replace(folder / wire.SOCKET)
        try:
            yield listener
        finally:
            (folder / wire.SOCKET).unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Prints one line of JSON: that it is ready, or why it is not. Exit status 3 then."""
    parser = argparse.ArgumentParser(description="Serve an audit log.")
    Place.add_to(parser)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--origin", required=True)
    parser.add_argument("--linger", type=float, help="end when nobody was connected for so long")
    parser.add_argument("--heartbeat", type=float, default=HEARTBEAT_SECONDS)
    args = parser.parse_args(argv)

    def say(**fields: JSON) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            sys.stdout.write(json.dumps(fields) + "\n")
            sys.stdout.flush()

    try:
        serve(
            Place.given(args),
            key=read_seed(args.key_file),
            origin=args.origin,
            linger=args.linger,
            heartbeat=args.heartbeat,
            ready=lambda: say(ready=True),
        )
    except AuditError as e:
        say(**wire.error_of(e))
        return 3
    except SovereignError as e:
        say(code=e.code, message=e.message, hint=e.hint)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
