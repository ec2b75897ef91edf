"""Closes a process off for good, from inside it: no network, no programs, two folders of files.

For work on files that nobody can trust. Three walls, each of which the kernel must grant, or
:class:`WeightsError` is raised and nothing is done:

- an empty network namespace (namespaces(7));
- Landlock (landlock(7)): files are read below the interpreter, the source and a few of the system,
  and written below one folder; nothing is executed;
- seccomp (seccomp(2)): no sockets, no new processes, no signals to others, no tracing, no mounts.

Called before any thread exists, since two of the three bind the thread and what it starts.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sovereign.errors import WeightsError

__all__ = ["close"]

SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/proc/self", "/proc/cpuinfo",
    "/proc/meminfo", "/sys/devices/system", "/dev/urandom", "/dev/zero",
)  # fmt: skip

NEWER = "convert on a machine with Linux 6.2 or later, or take safetensors"
NAMESPACES = (
    "who is not root needs user namespaces: see sysctl user.max_user_namespaces and "
    "kernel.apparmor_restrict_unprivileged_userns; or convert elsewhere, or take safetensors"
)

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2

# linux/landlock.h: bit n of handled_access_fs.
_EXECUTE, _WRITE, _READ, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_ALL_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}

# Numbers of calls, from the kernel's tables for x86_64 and for arm64.
_FORBIDDEN = {
    "x86_64": (
        41, 42, 44, 46, 49, 53,  # socket, connect, sendto, sendmsg, bind, socketpair
        57, 58, 59, 322,  # fork, vfork, execve, execveat
        62, 129, 424, 438,  # kill, rt_sigqueueinfo, pidfd_send_signal, pidfd_getfd
        200, 297,  # tkill, rt_tgsigqueueinfo
        101, 310, 311, 298, 321, 323, 425,  # ptrace, process_vm_*, perf, bpf, userfaultfd, io_uring
        248, 249, 250, 29, 64, 68, 240,  # keys, System V memory, semaphores, messages, mq_open
        155, 161, 165, 166, 272, 304, 308,  # pivot_root, chroot, mounts, unshare, handles, setns
    ),
    "aarch64": (
        198, 203, 206, 211, 200, 199, 221, 281, 129, 138, 424, 438, 130, 240, 117, 270, 271, 241,
        280, 282, 425, 217, 218, 219, 194, 190, 186, 180, 41, 51, 40, 39, 97, 265, 268,
    ),
}  # fmt: skip
_TGKILL, _PRLIMIT = {"x86_64": 234, "aarch64": 131}, {"x86_64": 302, "aarch64": 261}
_FCNTL, _SETOWN, _SETOWN_EX = {"x86_64": 72, "aarch64": 25}, 8, 15
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3, _CLONE_THREAD = 435, 0x00010000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def close(*, read: Iterable[Path], write: Path) -> None:
    """Close this process: it reads ``read``, the interpreter and :data:`SYSTEM`, and writes below
    ``write``. There is no way back. Raises :class:`WeightsError` if the kernel grants less."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    _leave_network(libc)
    _must(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _landlock(libc, read, write)
    _seccomp(libc)


def _must(result: int, what: str, hint: str = NEWER) -> int:
    if result < 0:
        raise WeightsError(
            f"this kernel grants no {what} ({os.strerror(ctypes.get_errno())})", hint=hint
        )
    return result


def _leave_network(libc: ctypes.CDLL) -> None:
    if libc.unshare(_NEWNET) == 0:
        return
    uid, gid = os.getuid(), os.getgid()
    _must(libc.unshare(_NEWUSER | _NEWNET), "network namespace", NAMESPACES)
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError as e:
        raise WeightsError(
            f"this kernel maps no user into its namespace ({e.strerror})", hint=NAMESPACES
        ) from None


def _landlock(libc: ctypes.CDLL, read: Iterable[Path], write: Path) -> None:
    abi = _must(libc.syscall(444, None, 0, 1), "Landlock")
    if abi < 3:
        raise WeightsError(
            "this kernel's Landlock cannot stop a file from being cut short", hint=NEWER
        )
    handled = _ALL_OF_ABI[max(known for known in _ALL_OF_ABI if known <= abi)]
    rules = _must(libc.syscall(444, struct.pack("<Q", handled), 8, 0), "Landlock")
    ours = [sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(__file__).parents[1])]
    for path in [*map(Path, (*ours, *SYSTEM)), *read]:
        _rule(libc, rules, path, _READ | _READ_DIR)
    _rule(libc, rules, Path("/dev/null"), _READ | _WRITE | _TRUNCATE)
    _rule(libc, rules, write, _READ | _READ_DIR | _WRITE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE)
    _must(libc.syscall(446, rules, 0), "Landlock")
    os.close(rules)


def _rule(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    if not path.is_dir():
        access &= ~(_READ_DIR | _MAKE_REG | _REMOVE_FILE)
    # A packed struct: u64 allowed_access, s32 parent_fd.
    _must(libc.syscall(445, rules, 1, struct.pack("<Qi", access, handle), 0), "Landlock")
    os.close(handle)


def _seccomp(libc: ctypes.CDLL) -> None:
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        raise WeightsError(f"no list of this kernel's calls for {machine}", hint="take safetensors")
    program = _program(machine)
    code = ctypes.create_string_buffer(b"".join(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    what = Program(len(program), ctypes.addressof(code))
    _must(libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(what), 0, 0), "seccomp")


def _program(machine: str) -> list[bytes]:
    """Classic BPF over ``struct seccomp_data``: nr at 0, arch at 4, arguments from 16."""

    def op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, k)

    load, equal, at_least, bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    program = [op(load, 4), op(equal, _AUDIT_ARCH[machine], 1, 0), op(give, _KILL), op(load, 0)]
    # x32 calls on x86_64 have numbers of their own, for the same things.
    program += [op(at_least, 0x40000000, 0, 1), op(give, _EPERM)]
    for number in _FORBIDDEN[machine]:
        program += [op(equal, number, 0, 1), op(give, _EPERM)]

    def ask(number: int, at: int, values: Sequence[int], hit: int, miss: int) -> list[bytes]:
        rows = [op(equal, v, len(values) - i, 0) for i, v in enumerate(values)]
        return [
            op(equal, number, 0, len(rows) + 3),
            op(load, at),
            *rows,
            op(give, miss),
            op(give, hit),
        ]

    # Signals and limits, of which one kills, to ourselves only; abort(3) and raise(3) need the
    # first, getrlimit(3) the second. And a file's news are a signal to nobody.
    program += ask(_TGKILL[machine], 16, (os.getpid(),), _ALLOW, _EPERM)
    program += ask(_PRLIMIT[machine], 16, (0, os.getpid()), _ALLOW, _EPERM)
    program += ask(_FCNTL[machine], 24, (_SETOWN, _SETOWN_EX), _EPERM, _ALLOW)
    # clone3 hides its flags in memory; without it the C library falls back to clone.
    program += [op(equal, _CLONE3, 0, 1), op(give, _ENOSYS)]
    program += [op(equal, _CLONE[machine], 0, 3), op(load, 16), op(bits, _CLONE_THREAD, 1, 0)]
    return [*program, op(give, _EPERM), op(give, _ALLOW)]
