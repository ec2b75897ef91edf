"""The stand-in for hosted APIs, as people start it by hand."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "sovereign.gateway.standin"]


def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path) -> None:
    """A port in use, and a record that cannot be written: before it says where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = (
            (["--record", str(tmp_path / "r"), "--port", str(port)], f"127.0.0.1:{port}: Address"),
            (["--record", str(tmp_path / "gone" / "r")], f"{tmp_path / 'gone' / 'r'}: No such"),
        )
        for options, said in cases:
            done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60)
            assert done.returncode == 1
            assert done.stdout == ""
            assert done.stderr.startswith(f"error: {said}")
            assert len(done.stderr.splitlines()) == 1
