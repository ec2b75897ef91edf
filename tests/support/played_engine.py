"""An engine for tests of the supervisor: a Python program that plays every part, many and fast."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from sovereign.config import ModelConfig
from sovereign.serve.backoff import Backoff
from sovereign.serve.engines import Command, Launch
from sovereign.serve.supervise import Supervisor
from sovereign.types import Receipt

__all__ = ["ENGINE", "Fake", "Records", "gone", "supervisor", "until"]

ENGINE = """
import http.server, os, socketserver, sys, time
from pathlib import Path
from sovereign.serve import cell
cell.die_with_stdin()
what = sys.argv[2]
if what == "fails":
    print("error: the weights are square", file=sys.stderr)
    print("hint: round them", file=sys.stderr)
    sys.exit(1)
if what == "crashes":
    raise ValueError("unexpected")
if what == "dies":
    os.kill(os.getpid(), 9)
if what == "hangs":
    time.sleep(60)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *a): pass
    def address_string(self): return "unix"
class Server(socketserver.BaseServer):
    pass
sock = cell.listen(Path(sys.argv[1])); sock.setblocking(True)
if what == "stubborn":
    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    c, _ = sock.accept()
    try: Handler(c, ("unix", 0), None)
    except Exception: pass
    c.close()
"""


class Fake:
    """An engine whose program does ``what`` next."""

    def __init__(self, what: str) -> None:
        self.what = what

    def command(self, launch: Launch) -> Command:
        return Command((sys.executable, "-c", ENGINE, str(launch.socket), self.what))


class Records:
    """A sink that keeps what it gets."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: list[dict[str, Any]] = []
        self._error = error

    def submit(self, record: Mapping[str, Any]) -> Future[Receipt]:
        done: Future[Receipt] = Future()
        self.kept.append(dict(record))
        if self._error:
            done.set_exception(self._error)
        else:
            done.set_result(Receipt(0, b""))
        return done


def supervisor(tmp_path: Path, **kw: Any) -> Supervisor:
    return Supervisor(
        "m",
        ModelConfig(base="b", engine="fake"),
        weights=tmp_path,
        run_dir=tmp_path / "run",
        backoff=Backoff(first=0.01),
        **kw,
    )


def until(condition: Any, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(done)


def gone(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split(")")[1].split()[0] == "Z"
