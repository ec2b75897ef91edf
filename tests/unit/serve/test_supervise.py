"""The supervisor with a small engine of its own: a Python program that plays every part.

The real engine is in tests/e2e/test_serve_supervise.py; here the failures are many and fast.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sovereign.config import ModelConfig, load_config
from sovereign.errors import ConfigError, EngineDown, LogUnavailable, NotVerified
from sovereign.serve import engines, supervise
from sovereign.serve.backoff import Backoff
from sovereign.serve.engines import Command, Launch
from sovereign.serve.health import healthy
from sovereign.serve.supervise import Supervisor, engines_from_config
from sovereign.types import Receipt
from sovereign.weights.store import Store

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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake("serves")
    monkeypatch.setitem(engines._BUILT_IN, "fake", made)
    return made


def _supervisor(tmp_path: Path, **kw: Any) -> Supervisor:
    return Supervisor(
        "m",
        ModelConfig(base="b", engine="fake"),
        weights=tmp_path,
        run_dir=tmp_path / "run",
        backoff=Backoff(first=0.01),
        **kw,
    )


def _until(condition: Any, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(done)


def _gone(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split(")")[1].split()[0] == "Z"


def test_it_starts_serves_stops_and_leaves_nothing(tmp_path: Path, fake: Fake) -> None:
    """No process, no socket; each step on record before it happens."""
    records = Records()
    with _supervisor(tmp_path, sink=records, base_digest="ab" * 32) as engine:
        engine.start(timeout=20)
        assert engine.alive
        pid = engine.pid
        assert pid
    assert not engine.alive
    assert _gone(pid)
    assert not engine.socket.exists()
    assert [r["type"] for r in records.kept] == ["model.serve", "model.stop"]
    assert records.kept[0]["base_digest"] == "ab" * 32


def test_the_records_fit_the_logs_schema(tmp_path: Path, fake: Fake) -> None:
    """A record that the log refuses would keep every engine down."""
    from sovereign.audit.record import validate

    records = Records()
    with _supervisor(tmp_path, sink=records, base_digest="ab" * 32) as engine:
        engine.start(timeout=20)
    assert {r["type"] for r in records.kept} == {"model.serve", "model.stop"}
    for record in records.kept:
        validate(record)


def test_without_a_log_nothing_is_served(tmp_path: Path, fake: Fake) -> None:
    """Fails closed: no record, no engine."""
    engine = _supervisor(tmp_path, sink=Records(LogUnavailable("the disk is full")))
    with pytest.raises(LogUnavailable):
        engine.start(timeout=20)
    assert engine.pid is None


@pytest.mark.parametrize(
    ("what", "message", "hint"),
    [
        ("fails", "m: the weights are square", "round them"),
        ("crashes", "m: the engine ended with status 1 before it was ready", "ValueError"),
        ("dies", "m: the engine was killed by SIGKILL before it was ready", "dmesg"),
    ],
)
def test_an_engine_that_does_not_start_is_explained(
    tmp_path: Path, fake: Fake, what: str, message: str, hint: str
) -> None:
    """What it said last, or what killed it, in one line and a hint."""
    fake.what = what
    engine = _supervisor(tmp_path)
    with pytest.raises(EngineDown) as caught:
        engine.start(timeout=20)
    assert caught.value.message == message
    assert hint in caught.value.hint
    assert not engine.alive


def test_an_engine_that_is_never_ready_is_ended(tmp_path: Path, fake: Fake) -> None:
    """And does not go on loading behind our back."""
    fake.what = "hangs"
    engine = _supervisor(tmp_path)
    with pytest.raises(EngineDown, match="not ready after"):
        engine.start(timeout=0.5)
    assert engine.pid is None


def test_a_killed_engine_comes_back(tmp_path: Path, fake: Fake) -> None:
    """kill -9, again and again: a new process each time, at the same socket."""
    with _supervisor(tmp_path) as engine:
        engine.start(timeout=20)
        engine.watch()
        for n in range(2):
            before = engine.pid
            assert before
            os.kill(before, signal.SIGKILL)
            assert _until(lambda n=n: engine.restarts == n + 1 and engine.alive)
            assert engine.pid != before
            assert "SIGKILL" in str(engine.last_error)


def test_weights_that_changed_on_disk_are_not_served_again(tmp_path: Path, fake: Fake) -> None:
    """A restart verifies first; the engine stays down until they are right again."""
    bad = [True]

    def verify() -> None:
        if bad[0]:
            raise NotVerified("model.safetensors differs")

    with _supervisor(tmp_path, verify=verify) as engine:
        engine.start(timeout=20)
        engine.watch()
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        assert _until(lambda: isinstance(engine.last_error, NotVerified))
        assert engine.pid is None
        bad[0] = False
        assert _until(lambda: engine.alive)


def test_stop_ends_an_engine_that_ignores_it(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM first, then SIGKILL."""
    monkeypatch.setattr(supervise, "_GRACE_S", 0.2)
    fake.what = "stubborn"
    engine = _supervisor(tmp_path)
    engine.start(timeout=20)
    pid = engine.pid
    assert pid
    engine.stop()
    assert _gone(pid)


def test_stop_during_a_restart_leaves_no_process(tmp_path: Path, fake: Fake) -> None:
    """The watcher must not start an engine after stop has begun."""
    engine = _supervisor(tmp_path)
    engine.start(timeout=20)
    engine.watch()
    assert engine.pid
    fake.what = "hangs"
    os.kill(engine.pid, signal.SIGKILL)
    assert _until(lambda: engine.restarts == 1 and engine.pid is not None)
    second = engine.pid
    assert second
    engine.stop()
    assert _gone(second)
    assert engine.pid is None
    assert not [t for t in threading.enumerate() if t.name == "watch m"]


def test_a_thread_that_started_it_may_end(tmp_path: Path, fake: Fake) -> None:
    """PR_SET_PDEATHSIG would kill the engine with the worker thread that started it."""
    with _supervisor(tmp_path) as engine:
        starter = threading.Thread(target=engine.start, args=(20,))
        starter.start()
        starter.join()
        time.sleep(0.3)
        assert engine.alive


def test_an_engine_does_not_outlive_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """kill -9 leaves no time to stop anything: the pipe does."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from sovereign.config import ModelConfig\n"
        "from sovereign.serve import engines, supervise\n"
        "class Fake:\n"
        "    def command(self, launch):\n"
        "        return engines.Command("
        "(sys.executable, '-c', sys.argv[1], str(launch.socket), 'serves'))\n"
        "engines._BUILT_IN['fake'] = Fake()\n"
        "s = supervise.Supervisor('m', ModelConfig(base='b', engine='fake'),\n"
        "    weights=Path('/'), run_dir=Path(sys.argv[2]))\n"
        "s.start(20)\n"
        "print(s.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, ENGINE, str(tmp_path / "run")], stdout=subprocess.PIPE
    )
    assert parent.stdout
    with parent.stdout:
        pid = int(parent.stdout.readline())
    assert not _gone(pid)
    parent.kill()
    parent.wait()
    assert _until(lambda: _gone(pid), 5)


def test_a_deep_folder_gets_a_short_socket(tmp_path: Path, fake: Fake) -> None:
    """A project may lie deeper than a Unix socket's 107 bytes; its stand-in is private."""
    engine = Supervisor(
        "m",
        ModelConfig(base="b", engine="fake"),
        weights=tmp_path,
        run_dir=tmp_path / ("deep/" * 30),
    )
    engine.start(timeout=20)
    folder = engine.socket.parent
    assert len(os.fsencode(engine.socket)) < 107
    assert folder.stat().st_mode & 0o077 == 0
    engine.stop()
    assert not folder.exists()


def test_names_that_look_alike_have_sockets_of_their_own() -> None:
    """'a/b' and 'a b' are both a-b to a file name."""
    names = ["a/b", "a b", "a-b", "A-b", "ä"]
    assert len({supervise._socket_name(n) for n in names}) == len(names)


def test_a_configuration_names_what_is_wrong(tmp_path: Path) -> None:
    """An adapter that is not there, before any engine starts."""
    file = tmp_path / "sovereign.toml"
    file.write_text('[policy]\npreset = "hipaa"\n[models.m]\nbase = "b"\nadapter = "nowhere"\n')
    with pytest.raises(ConfigError, match=r"models\.m\.adapter"):
        engines_from_config(load_config(file), Store(tmp_path / "s", tmp_path / "l"), None)


# ---- exchanging an engine while it serves -------------------------------------------------------


def _adapted(tmp_path: Path, **kw: Any) -> tuple[Supervisor, Path]:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text("first")
    return _supervisor(tmp_path, adapters={"": folder}, **kw), folder


def test_a_changed_adapter_is_served_by_a_new_engine_at_the_same_socket(
    tmp_path: Path, fake: Fake
) -> None:
    """The old one ends by itself, and both are on record."""
    records = Records()
    engine, folder = _adapted(tmp_path, sink=records)
    with engine:
        engine.start(timeout=20)
        engine.watch()
        first = engine.pid
        assert first
        (folder / "adapter_model.safetensors").write_text("the second")
        assert _until(lambda: engine.rollovers == 1)
        assert engine.alive
        assert engine.pid != first
        assert healthy(engine.socket)
        assert _until(lambda: _gone(first))
        assert _until(lambda: len(records.kept) == 3)
        assert [p.name for p in engine.socket.parent.iterdir()] == [engine.socket.name]
    assert [r.get("reason") for r in records.kept] == [None, None, "replaced", "stopped"]
    assert not engine.socket.exists()


def test_a_change_that_cannot_be_served_leaves_the_old_engine_at_work(
    tmp_path: Path, fake: Fake
) -> None:
    """It is told once, not tried again and again, and the next change is served."""
    engine, folder = _adapted(tmp_path)
    with engine:
        engine.start(timeout=20)
        engine.watch()
        first = engine.pid
        fake.what = "fails"
        (folder / "adapter_model.safetensors").write_text("the second")
        assert _until(lambda: engine.last_error is not None)
        assert "square" in str(engine.last_error)
        assert engine.pid == first
        assert healthy(engine.socket)
        fake.what = "serves"
        (folder / "adapter_model.safetensors").write_text("and the third")
        assert _until(lambda: engine.rollovers == 1)


def test_stop_during_an_exchange_leaves_no_process(tmp_path: Path, fake: Fake) -> None:
    """Neither the old engine nor the one that was loading beside it."""
    engine, folder = _adapted(tmp_path)
    engine.start(timeout=20)
    engine.watch()
    first = engine.pid
    fake.what = "hangs"
    (folder / "adapter_model.safetensors").write_text("the second")
    assert _until(lambda: engine._loading is not None)
    assert engine._loading
    second = engine._loading.pid
    engine.stop()
    assert first
    assert _gone(first)
    assert _gone(second)


def test_an_exchanged_engine_that_is_killed_comes_back(tmp_path: Path, fake: Fake) -> None:
    """At its place, though it was born beside it."""
    engine, folder = _adapted(tmp_path)
    with engine:
        engine.start(timeout=20)
        (folder / "adapter_model.safetensors").write_text("the second")
        engine.roll(timeout=20)
        engine.watch()
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        assert _until(lambda: engine.restarts == 1 and engine.alive)
        assert healthy(engine.socket)
