"""An engine is exchanged while it serves: beside it first, then at its place, or not at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from played_engine import Fake, Records, gone, supervisor, until

from sovereign.errors import EngineDown
from sovereign.serve.health import healthy
from sovereign.serve.supervise import Supervisor


def _adapted(tmp_path: Path, **kw: Any) -> tuple[Supervisor, Path]:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text("first")
    return supervisor(tmp_path, adapters={"": folder}, **kw), folder


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
        assert until(lambda: engine.rollovers == 1)
        assert engine.alive
        assert engine.pid != first
        assert healthy(engine.socket)
        assert until(lambda: gone(first))
        assert until(lambda: len(records.kept) == 3)
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
        assert until(lambda: engine.last_error is not None)
        assert "square" in str(engine.last_error)
        assert engine.pid == first
        assert healthy(engine.socket)
        fake.what = "serves"
        (folder / "adapter_model.safetensors").write_text("and the third")
        assert until(lambda: engine.rollovers == 1)


def test_a_disk_that_fails_ends_no_watch(tmp_path: Path, fake: Fake) -> None:
    """Neither an exchange nor a restart that finds no place for a socket is the last one tried."""
    engine, folder = _adapted(tmp_path)
    with engine:
        engine.start(timeout=20)
        engine.watch()
        first, run, away = engine.pid, tmp_path / "run", tmp_path / "away"
        assert first
        run.rename(away)
        run.write_text("in the way")
        (folder / "adapter_model.safetensors").write_text("the second")
        assert until(lambda: engine.last_error is not None)
        refused = engine.last_error
        os.kill(first, signal.SIGKILL)
        assert until(lambda: engine.restarts > 1 and engine.last_error is not refused)
        run.unlink()
        away.rename(run)
        assert until(lambda: engine.alive)
        assert healthy(engine.socket)


def test_an_exchange_that_finds_no_place_leaves_no_process(tmp_path: Path, fake: Fake) -> None:
    """The old one goes on, and the new one is not forgotten."""
    engine, folder = _adapted(tmp_path)
    with engine:
        engine.start(timeout=20)
        first = engine.pid
        (folder / "adapter_model.safetensors").write_text("the second")
        # A folder is where the new engine's socket should go.
        engine.socket.unlink()
        engine.socket.mkdir()
        with pytest.raises(EngineDown):
            engine.roll(timeout=20)
        assert engine.pid == first
        running = [p for p in Path("/proc").iterdir() if p.name.isdigit() and _beside(p, engine)]
        assert running == []
        engine.socket.rmdir()


def _beside(process: Path, engine: Supervisor) -> bool:
    try:
        return os.fsencode(engine.socket.name[:-1] + "~") in (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_stop_during_an_exchange_leaves_no_process(tmp_path: Path, fake: Fake) -> None:
    """Neither the old engine nor the one that was loading beside it."""
    engine, folder = _adapted(tmp_path)
    engine.start(timeout=20)
    engine.watch()
    first = engine.pid
    fake.what = "hangs"
    (folder / "adapter_model.safetensors").write_text("the second")
    assert until(lambda: engine._loading is not None)
    assert engine._loading
    second = engine._loading.pid
    engine.stop()
    assert first
    assert gone(first)
    assert gone(second)


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
        assert until(lambda: engine.restarts == 1 and engine.alive)
        assert healthy(engine.socket)
