"""Closes a process off, from inside it: no network, no life after its parent, a private socket.

Called first thing in an engine's ``main``, before any thread exists: the kernel moves only a
single-threaded process into a new user namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from sovereign.errors import MissingExtra, ServeError, SovereignError

__all__ = [
    "SOCKET_PATH_MAX",
    "claim",
    "close_off",
    "die_with_stdin",
    "give_up",
    "leave_network",
    "leave_no_core",
    "listen",
    "raise_loopback",
    "run",
    "say",
]

SOCKET_PATH_MAX = 107
"""Bytes: ``sun_path`` of unix(7) is 108 with the final NUL."""

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def run(work: Callable[[], int]) -> int:
    """A program's ``main``: the exit status of ``work``, or 1 if it raises :class:`ServeError` or
    misses a package, which an ``error:`` and a ``hint:`` line tell. What it writes is its owner's,
    and it leaves no core."""
    os.umask(0o077)
    leave_no_core()
    error: SovereignError
    try:
        return work()
    except ModuleNotFoundError as e:
        error = MissingExtra(str(e.name), "serve")
    except ServeError as e:
        error = e
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")
    return 1


def say(text: str) -> None:
    """A line of the program's own log."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a program's own log


def close_off() -> bool:
    """:func:`leave_network`, or a warning that it was not possible."""
    closed = leave_network()
    if not closed:
        say("warning: the kernel did not give an empty network namespace; going on")
    return closed


def leave_network() -> bool:
    """Move this process into an empty network namespace: no interface but an unset loopback.

    A Unix socket with a path still works. True if the kernel permitted it. Nothing is changed
    otherwise.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        unshare = libc.unshare
    except (OSError, AttributeError):
        return False
    # With CAP_SYS_ADMIN the network alone can be left; else a user namespace of our own gives it.
    if unshare(_CLONE_NEWNET) == 0:
        return True
    uid, gid = os.getuid(), os.getgid()
    if unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Without the maps this process would be nobody, and could not read the weights' folder (0700).
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError as e:
        # Already inside the new namespaces: going on would be going on as nobody.
        raise ServeError(f"cannot map the user into its namespace: {e.strerror}") from None
    return True


def raise_loopback() -> None:
    """In a namespace that :func:`leave_network` made: give it a loopback, for programs whose own
    processes talk to each other over it. Nobody outside the namespace sees it. Raises
    :class:`ServeError`."""
    name = b"lo".ljust(16, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, _SIOCSIFFLAGS, name + struct.pack("h", _IFF_UP) + bytes(22))
        except OSError as e:
            raise ServeError(f"cannot set up a loopback: {e.strerror}") from None


def leave_no_core() -> None:
    """A crash must not write this process's memory, with the prompts in it, to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_stdin() -> None:
    """End this process and its group when standard input ends, which is when its parent does.

    The parent holds the other end of a pipe and never writes. PR_SET_PDEATHSIG is not used: it
    fires when the parent's *thread* ends, and is cleared by a change of credentials.
    """

    def wait() -> None:
        while True:
            try:
                if not os.read(0, 1024):
                    break
            except OSError:
                break
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def listen(path: Path) -> socket.socket:
    """A listening Unix socket at ``path``, mode 0600 from its first moment. Raises as
    :func:`claim` does."""
    claim(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError as e:
        sock.close()
        raise ServeError(f"{path}: cannot listen: {e.strerror}") from None
    finally:
        os.umask(before)
    sock.listen(512)
    sock.setblocking(False)
    return sock


def claim(path: Path) -> None:
    """Make ``path`` free for a socket in a folder that is ours alone.

    A socket file that nobody answers at is removed. Raises :class:`ServeError` if somebody does,
    if the path is too long, if something else lies there, or if others may enter its folder.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise ServeError(
            f"{path}: a Unix socket's path has at most {SOCKET_PATH_MAX} bytes",
            hint="choose a shorter folder, such as /run/user/$UID",
        )
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        # Never the advice to close /tmp, or a folder that belongs to somebody else.
        ours = about.st_uid == os.getuid() and not about.st_mode & stat.S_ISVTX
        raise ServeError(
            f"{folder}: others may enter the socket's folder",
            hint=f"chmod 700 {folder}"
            if ours
            else f"choose a folder of your own, such as {path}.d",
        )
    _clear(path)


def give_up(path: Path, inode: int | None) -> None:
    """Remove the socket at ``path``, unless it is another than that of ``inode``: an engine that
    took our place."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServeError(
            f"{path}: there is something that is not a socket", hint="choose another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # somebody holds it and is slow: in use
    raise ServeError(f"{path}: another process answers there", hint="stop it, or choose another")
