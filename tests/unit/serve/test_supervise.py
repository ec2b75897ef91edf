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
from pathlib import Path

import pytest
from played_engine import ENGINE, Fake, Records, gone, supervisor, until

from sovereign.config import ModelConfig, load_config
from sovereign.errors import ConfigError, EngineDown, LogUnavailable, NotVerified
from sovereign.serve import supervise
from sovereign.serve.supervise import Supervisor, engines_from_config
from sovereign.weights.store import Store


def test_it_starts_serves_stops_and_leaves_nothing(tmp_path: Path, fake: Fake) -> None:
    """No process, no socket; each step on record before it happens."""
    records = Records()
    with supervisor(tmp_path, sink=records, base_digest="ab" * 32) as engine:
        engine.start(timeout=20)
        assert engine.alive
        pid = engine.pid
        assert pid
    assert not engine.alive
    assert gone(pid)
    assert not engine.socket.exists()
    assert [r["type"] for r in records.kept] == ["model.serve", "model.stop"]
    assert records.kept[0]["base_digest"] == "ab" * 32


def test_the_records_fit_the_logs_schema(tmp_path: Path, fake: Fake) -> None:
    """A record that the log refuses would keep every engine down."""
    from sovereign.audit.record import validate

    records = Records()
    with supervisor(tmp_path, sink=records, base_digest="ab" * 32) as engine:
        engine.start(timeout=20)
    assert {r["type"] for r in records.kept} == {"model.serve", "model.stop"}
    for record in records.kept:
        validate(record)


def test_without_a_log_nothing_is_served(tmp_path: Path, fake: Fake) -> None:
    """Fails closed: no record, no engine."""
    engine = supervisor(tmp_path, sink=Records(LogUnavailable("the disk is full")))
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
    engine = supervisor(tmp_path)
    with pytest.raises(EngineDown) as caught:
        engine.start(timeout=20)
    assert caught.value.message == message
    assert hint in caught.value.hint
    assert not engine.alive


def test_an_engine_that_is_never_ready_is_ended(tmp_path: Path, fake: Fake) -> None:
    """And does not go on loading behind our back."""
    fake.what = "hangs"
    engine = supervisor(tmp_path)
    with pytest.raises(EngineDown, match="not ready after"):
        engine.start(timeout=0.5)
    assert engine.pid is None


def test_a_killed_engine_comes_back(tmp_path: Path, fake: Fake) -> None:
    """kill -9, again and again: a new process each time, at the same socket."""
    with supervisor(tmp_path) as engine:
        engine.start(timeout=20)
        engine.watch()
        for n in range(2):
            before = engine.pid
            assert before
            os.kill(before, signal.SIGKILL)
            assert until(lambda n=n: engine.restarts == n + 1 and engine.alive)
            assert engine.pid != before
            assert "SIGKILL" in str(engine.last_error)


def test_weights_that_changed_on_disk_are_not_served_again(tmp_path: Path, fake: Fake) -> None:
    """A restart verifies first; the engine stays down until they are right again."""
    bad = [True]

    def verify() -> None:
        if bad[0]:
            raise NotVerified("model.safetensors differs")

    with supervisor(tmp_path, verify=verify) as engine:
        engine.start(timeout=20)
        engine.watch()
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        assert until(lambda: isinstance(engine.last_error, NotVerified))
        assert engine.pid is None
        bad[0] = False
        assert until(lambda: engine.alive)


def test_stop_ends_an_engine_that_ignores_it(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM first, then SIGKILL."""
    monkeypatch.setattr(supervise, "_GRACE_S", 0.2)
    fake.what = "stubborn"
    engine = supervisor(tmp_path)
    engine.start(timeout=20)
    pid = engine.pid
    assert pid
    engine.stop()
    assert gone(pid)


def test_stop_during_a_restart_leaves_no_process(tmp_path: Path, fake: Fake) -> None:
    """The watcher must not start an engine after stop has begun."""
    engine = supervisor(tmp_path)
    engine.start(timeout=20)
    engine.watch()
    assert engine.pid
    fake.what = "hangs"
    os.kill(engine.pid, signal.SIGKILL)
    assert until(lambda: engine.restarts == 1 and engine.pid is not None)
    second = engine.pid
    assert second
    engine.stop()
    assert gone(second)
    assert engine.pid is None
    assert not [t for t in threading.enumerate() if t.name == "watch m"]


def test_a_thread_that_started_it_may_end(tmp_path: Path, fake: Fake) -> None:
    """PR_SET_PDEATHSIG would kill the engine with the worker thread that started it."""
    with supervisor(tmp_path) as engine:
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
    assert not gone(pid)
    parent.kill()
    parent.wait()
    assert until(lambda: gone(pid), 5)


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
