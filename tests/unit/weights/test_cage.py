"""A closed process can do nothing but read what it was given and write where it may."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ATTEMPTS = """
import ctypes, fcntl, json, os, platform, resource, signal, socket, subprocess, sys, threading
from pathlib import Path
from sovereign.weights import cage
source, out, secret = map(Path, sys.argv[1:])
cage.close(read=[source], write=out)
libc = ctypes.CDLL(None, use_errno=True)

def unshare(flags):
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "no")

tgkill, tkill = {"x86_64": (234, 200), "aarch64": (131, 130)}[platform.machine()]

def call(*arguments):
    if libc.syscall(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "no")

attempts = {
    "a socket": lambda: socket.socket(),
    "a socket of the machine": lambda: socket.socket(socket.AF_UNIX),
    "a program": lambda: os.execv("/bin/true", ["true"]),
    "a process": os.fork,
    "a process and a program": lambda: subprocess.run(["/bin/true"], check=True),
    "a signal to its parent": lambda: os.kill(os.getppid(), 0),
    "a signal to a thread": lambda: call(tkill, os.getppid(), 0),
    "a signal to a thread of its parent": lambda: call(tgkill, os.getppid(), os.getppid(), 0),
    "a limit of its parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
    "a file's signal to its parent": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid()),
    "a file of somebody else": secret.read_bytes,
    "the list of users": Path("/etc/passwd").read_bytes,
    "a file beside its own": lambda: (out.parent / "x").write_text("x"),
    "a link in its folder": lambda: (out / "l").symlink_to(secret),
    "a file of its source": lambda: (source / "a").write_text("x"),
    "the source's removal": lambda: (source / "a").unlink(),
    "a folder": lambda: (out / "d").mkdir(),
    "a namespace": lambda: unshare(0x10000000),
    "another root": lambda: os.chroot("/"),
    "its parent's memory": lambda: Path(f"/proc/{os.getppid()}/maps").read_bytes(),
    "its parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "a shorter source": lambda: os.truncate(source / "a", 0),
}
done = []
for name, attempt in attempts.items():
    try:
        attempt()
        done.append(name)
    except (OSError, subprocess.SubprocessError):
        pass
(out / "b").write_bytes((source / "a").read_bytes())
thread = threading.Thread(target=lambda: (out / "c").write_text("c"))
thread.start(); thread.join()
signal.pthread_kill(threading.get_ident(), 0)
resource.getrlimit(resource.RLIMIT_NOFILE)
fcntl.fcntl(0, fcntl.F_GETFL)
print(json.dumps(done))
"""


def test_a_closed_process_can_do_nothing_else(tmp_path: Path) -> None:
    """Twenty-two things that a pickle would try. What the work needs still goes, on threads too."""
    source, out, secret = tmp_path / "source", tmp_path / "out", tmp_path / "secret"
    source.mkdir()
    out.mkdir()
    secret.write_text("key")
    (source / "a").write_text("a")
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, source, out, secret],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert (source / "a").read_text() == "a"
    assert sorted(p.name for p in out.iterdir()) == ["b", "c"]


REFUSED = """
import sys
from pathlib import Path
from sovereign.errors import WeightsError
from sovereign.weights import cage

class Old:
    def syscall(self, number, *args):
        return 1 if number == 444 else -1  # Landlock as of Linux 5.13
    def unshare(self, flags):
        return 0
    def prctl(self, *args):
        return 0

cage.ctypes.CDLL = lambda *args, **kwargs: Old()
try:
    cage.close(read=[], write=Path("/"))
except WeightsError as e:
    print(e.message)
"""


def test_a_kernel_that_grants_less_is_refused() -> None:
    """A wall that is missing is not made up for by the others."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], capture_output=True, text=True, check=True
    )
    assert "Landlock" in done.stdout
