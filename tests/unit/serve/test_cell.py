"""Walls around a process: private socket, no network. Each in a process of its own."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sovereign.errors import ServeError
from sovereign.serve import cell


@pytest.fixture
def private(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_the_socket_is_private_and_works(private: Path) -> None:
    """0600, and a connection gets through."""
    path = private / "run" / "e.sock"
    with cell.listen(path) as server, socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        client.connect(str(path))
        assert server.fileno() >= 0


def test_a_socket_that_a_killed_engine_left_is_replaced(private: Path) -> None:
    """kill -9 leaves the file; the next start must not fail over it."""
    path = private / "e.sock"
    cell.listen(path).close()
    assert path.exists()
    cell.listen(path).close()


def test_a_socket_where_somebody_answers_is_not_taken(private: Path) -> None:
    """Two engines at one path would steal each other's callers."""
    path = private / "e.sock"
    with cell.listen(path), pytest.raises(ServeError, match="another process answers"):
        cell.listen(path)


def test_a_file_in_the_way_is_left_alone(private: Path) -> None:
    """A wrong --socket must not delete somebody's file."""
    path = private / "notes.txt"
    path.write_text("x")
    with pytest.raises(ServeError, match="not a socket"):
        cell.listen(path)
    assert path.read_text() == "x"


def test_a_folder_that_others_may_enter_is_refused(private: Path) -> None:
    """Whoever can write the folder can put their own socket in its place."""
    private.chmod(0o755)
    with pytest.raises(ServeError, match="others may enter") as caught:
        cell.listen(private / "e.sock")
    assert "chmod 700" in caught.value.hint


def test_nobody_is_told_to_close_a_folder_that_all_share(private: Path) -> None:
    """--socket /tmp/x.sock must not end in advice to chmod /tmp."""
    private.chmod(0o1777)
    with pytest.raises(ServeError) as caught:
        cell.listen(private / "e.sock")
    assert "chmod" not in caught.value.hint
    assert "e.sock.d" in caught.value.hint


def test_a_path_that_the_kernel_would_refuse_is_named(private: Path) -> None:
    """The kernel says only 'AF_UNIX path too long'."""
    with pytest.raises(ServeError, match="107 bytes"):
        cell.listen(private / ("x" * 120))


def _python(code: str, **kw: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, **kw
    )


def test_a_process_that_left_the_network_reaches_nothing_and_keeps_its_user() -> None:
    """No route even to loopback; still the same user, so that weights can be read."""
    done = _python(
        "import os, socket\n"
        "from sovereign.serve import cell\n"
        "before = os.getuid()\n"
        "print(cell.leave_network(), os.getuid() == before)\n"
        "s = socket.socket(); s.settimeout(1)\n"
        "try: s.connect(('127.0.0.1', 9))\n"
        "except OSError as e: print(e.errno)\n"
    )
    left, rest = done.stdout.split(maxsplit=1)
    if left == "False":
        pytest.skip("this kernel gives no empty network namespace")
    assert rest.split() == ["True", "101"]  # ENETUNREACH


def test_a_process_ends_with_its_standard_input() -> None:
    """Which is when its parent dies, however it dies; its children go with it."""
    code = (
        "import subprocess, sys, time\n"
        "from sovereign.serve import cell\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "cell.die_with_stdin()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    child = int(process.stdout.readline())
    os.kill(child, 0)
    process.stdin.close()
    assert process.wait(timeout=10) != 0
    process.stdout.close()
    assert _gone(child)


def _gone(pid: int) -> bool:
    """Whether ``pid`` has ended, or does within seconds: a signal takes a moment to arrive."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        if state.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_socket_is_given_up_only_by_whom_it_belongs_to(tmp_path: Path) -> None:
    """An engine that took our place at a path must not lose its socket as we end."""
    path = tmp_path / "run" / "e.sock"
    with cell.listen(path):
        ours = path.stat().st_ino
        cell.give_up(path, ours + 1)
        assert path.exists()
        cell.give_up(path, ours)
        assert not path.exists()
    cell.give_up(path, ours)


def test_a_program_that_misses_a_package_names_the_extra() -> None:
    """The supervisor tells these two lines; the last one of a traceback would help nobody."""
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from sovereign.serve import cell\n"
        "sys.exit(cell.run(lambda: __import__('uvicorn')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: uvicorn is not installed",
        "hint: pip install 'sovereign-toolkit[serve]'",
    ]
