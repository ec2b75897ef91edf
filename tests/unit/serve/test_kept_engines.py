"""vLLM and llama.cpp as engines: their command lines, their environments, and what keeps them.

Their parts are played by real processes that take the published flags and no others."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import played_servers
import pytest
from played_engine import Records, gone, until
from played_servers import untrained as adapter

from sovereign.config import LlamaCppConfig, ModelConfig, VllmConfig, load_config
from sovereign.errors import ConfigError, EngineDown, NotVerified
from sovereign.serve.backoff import Backoff
from sovereign.serve.health import _Connection, healthy
from sovereign.serve.supervise import Supervisor, engines_from_config, verified
from sovereign.weights.store import Store

PLAYED = (sys.executable, played_servers.__file__)


def vllm(tmp_path: Path, **kw: Any) -> Supervisor:
    options = VllmConfig(program=PLAYED, environment={"PLAYED": str(tmp_path)})
    model = ModelConfig(base="b", engine="vllm", vllm=options)
    return supervised(tmp_path, model, **kw)


def llama(tmp_path: Path, **kw: Any) -> Supervisor:
    options = LlamaCppConfig(
        program=PLAYED, gguf=tmp_path / "m.gguf", environment={"PLAYED": str(tmp_path)}
    )
    return supervised(tmp_path, ModelConfig(base="b", engine="llamacpp", llamacpp=options), **kw)


def supervised(tmp_path: Path, model: ModelConfig, **kw: Any) -> Supervisor:
    return Supervisor(
        "m",
        model,
        weights=tmp_path / "weights",
        run_dir=tmp_path / "run",
        backoff=Backoff(first=0.01),
        **kw,
    )


def said(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "said").read_text())
    return found


def ask(engine: Supervisor, model: str, prompt: str = "hello") -> tuple[int, dict[str, Any]]:
    connection = _Connection(engine.socket, 20)
    try:
        connection.request(
            "POST", "/v1/completions", json.dumps({"model": model, "prompt": prompt})
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


# ---- kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [vllm, llama])
def test_it_is_started_closed_off_and_ends_without_a_trace(
    tmp_path: Path, make: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No secrets, no network but a loopback of its own, a socket for its owner; nothing left."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hosted")
    monkeypatch.setenv("LLAMA_ARG_TOOLS", "all")
    monkeypatch.setenv("VLLM_SERVER_DEV_MODE", "1")
    with make(tmp_path) as engine:
        engine.start(timeout=30)
        told = said(tmp_path)
        assert "sk-hosted" not in told["environment"].values()
        assert "LLAMA_ARG_TOOLS" not in told["environment"]
        assert told["environment"].get("VLLM_SERVER_DEV_MODE") in (None, "0")
        assert told["environment"]["HF_HUB_OFFLINE"] == "1"
        assert told["network"] == "Network is unreachable"
        assert told["umask"] == 0o077
        assert stat.S_IMODE(engine.socket.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(engine.socket.parent.stat().st_mode) == 0o700
        assert ask(engine, "m")[0] == 200
        keeper, program = engine.pid, told["pid"]
        assert keeper
    assert gone(keeper)
    assert gone(program)
    assert not list(engine.socket.parent.glob("*"))


@pytest.mark.parametrize("victim", ["keeper", "program"])
def test_kill_9_of_either_is_seen_and_answered_with_a_new_one(tmp_path: Path, victim: str) -> None:
    """And leaves no program that nobody knows of."""
    with vllm(tmp_path) as engine:
        engine.start(timeout=30)
        engine.watch()
        before, keeper = said(tmp_path)["pid"], engine.pid
        assert keeper
        os.kill(keeper if victim == "keeper" else before, signal.SIGKILL)
        assert until(lambda: engine.restarts == 1 and engine.alive)
        assert "SIGKILL" in str(engine.last_error)
        assert until(lambda: gone(before))
        assert said(tmp_path)["pid"] != before
        assert healthy(engine.socket)


def test_it_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Also when that is killed: the pipe from it ends."""
    engine = vllm(tmp_path)
    engine.start(timeout=30)
    assert engine._process is not None
    pipe = engine._process._process.stdin
    assert pipe is not None
    pipe.close()
    assert until(lambda: gone(said(tmp_path)["pid"]))
    engine.stop()


def test_what_it_writes_about_requests_is_in_no_error(tmp_path: Path) -> None:
    """Others' programs print what they stumble over. Lines are kept until the first request can
    come, and no longer."""
    with vllm(tmp_path) as engine:
        engine.start(timeout=30)
        engine.watch()
        assert ask(engine, "m", "Anna Kowalska")[0] == 200
        os.kill(said(tmp_path)["pid"], signal.SIGTERM)
        assert until(lambda: engine.restarts == 1 and engine.alive)
        error = engine.last_error
        assert error is not None
        assert "Kowalska" not in f"{error} {error.hint} {engine.tail}"


@pytest.mark.parametrize("make", [vllm, llama])
def test_one_that_does_not_start_is_explained(
    tmp_path: Path, make: Callable[..., Supervisor]
) -> None:
    """In its own words: no request has come yet."""
    (tmp_path / "fails").touch()
    engine = make(tmp_path)
    with pytest.raises(EngineDown, match="CUDA out of memory"):
        engine.start(timeout=30)
    assert engine.pid is None


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    options = VllmConfig(program=("/nowhere/vllm",))
    engine = supervised(tmp_path, ModelConfig(base="b", engine="vllm", vllm=options))
    with pytest.raises(EngineDown, match="/nowhere/vllm") as caught:
        engine.start(timeout=30)
    assert "program" in caught.value.hint


# ---- adapters ------------------------------------------------------------------------------------


def test_several_adapters_and_the_base_are_served_and_probed(tmp_path: Path) -> None:
    """Each by its name; the log says which."""
    records = Records()
    adapters = {"a": adapter(tmp_path / "a"), "b": adapter(tmp_path / "b")}
    with vllm(tmp_path, adapters=adapters, sink=records) as engine:
        engine.start(timeout=30)
        for name in ("m", "m:a", "m:b"):
            assert ask(engine, name)[1]["choices"][0]["text"] == name
        assert ask(engine, "m:c")[0] == 404
    assert [r["model"] for r in records.kept if r["type"] == "model.serve"] == ["m", "m:a", "m:b"]


def test_an_adapter_without_effect_is_not_served(tmp_path: Path) -> None:
    """They load without a word, and the base answers (vllm#34186)."""
    (tmp_path / "without_effect").touch()
    records = Records()
    engine = vllm(tmp_path, adapters={"a": adapter(tmp_path / "a")}, sink=records)
    with pytest.raises(EngineDown, match="m:a: the adapter has no effect"):
        engine.start(timeout=30)
    assert engine.pid is None
    assert until(lambda: gone(said(tmp_path)["pid"]))
    assert records.kept[-1]["reason"] == "not_started"


@pytest.mark.parametrize("make", [vllm, llama])
def test_one_that_is_exchanged_first_answers_what_it_was_asked(
    tmp_path: Path, make: Callable[..., Supervisor]
) -> None:
    """The new one has its place at once, and the old one does not take it along as it ends."""
    with make(tmp_path) as engine:
        engine.start(timeout=30)
        old = said(tmp_path)["pid"]
        answers: list[int] = []
        slow = threading.Thread(target=lambda: answers.append(ask(engine, "m", "wait 1.5")[0]))
        slow.start()
        time.sleep(0.3)
        engine.roll(timeout=30)
        assert said(tmp_path)["pid"] != old
        assert ask(engine, "m")[0] == 200
        slow.join(timeout=20)
        assert answers == [200]
        assert until(lambda: gone(old))
        assert healthy(engine.socket)


# ---- verified first ------------------------------------------------------------------------------


def test_a_gguf_is_served_only_if_it_is_what_the_lock_says(tmp_path: Path) -> None:
    """Its base in the store was made of it: the lock has its hash. It is asked again at each
    restart."""
    from dataclasses import replace

    from sovereign.weights.lock import Entry

    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF" + bytes(60))
    import hashlib

    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    entry = Entry("b", "gguf", "m.gguf", "MIT", (), "0" * 64, source_sha256=digest)

    class Locked(Store):
        def entry(self, name: str) -> Entry:
            return entry

    store = Locked(tmp_path / "store", tmp_path / "sovereign.lock")
    file = tmp_path / "sovereign.toml"
    file.write_text(
        '[policy]\npreset = "hipaa"\n[models.m]\nbase = "b"\nengine = "llamacpp"\n'
        '[models.m.llamacpp]\ngguf = "m.gguf"\n'
    )
    config = load_config(file)
    path, verify = verified(config, config.models["m"], store)
    assert path == gguf
    verify()
    gguf.write_bytes(b"GGUF" + bytes(59) + b"!")
    with pytest.raises(NotVerified, match="is not the file"):
        verify()
    gguf.unlink()
    with pytest.raises(NotVerified, match="No such file"):
        engines_from_config(config, store, None)
    entry = replace(entry, kind="hub")
    with pytest.raises(ConfigError, match="made of no GGUF"):
        verified(config, config.models["m"], store)
