"""Commands and environments of engines, and who may be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign import plugins
from sovereign.errors import ConfigError
from sovereign.serve.engines import Command, Launch, TransformersEngine, environment, find, keyed


def test_the_embedded_engines_command_says_everything() -> None:
    """Nothing is left to the environment or to defaults that may differ."""
    launch = Launch(
        name="m",
        weights=Path("/w"),
        socket=Path("/s"),
        adapters={"": Path("/a"), "b": Path("/c=d")},
        base_digest="d" * 64,
        max_context=99,
        threads=3,
    )
    argv = " ".join(TransformersEngine().command(launch).argv)
    for part in (
        "--weights /w",
        "--socket /s",
        "--adapter =/a",
        "--adapter b=/c=d",
        "--max-context 99",
        "--threads 3",
    ):
        assert part in argv
    assert f"--base-digest {'d' * 64}" in argv
    assert "--exit-with-stdin" in argv


def test_adapters_are_read_as_they_are_written() -> None:
    """A folder may hold an equals sign; two adapters may not answer to one name."""
    assert keyed(["a/b"]) == {"": Path("a/b")}
    assert keyed(["x=a", "=b=c", "y=d"]) == {"x": Path("a"), "": Path("b=c"), "y": Path("d")}
    with pytest.raises(ConfigError, match="two adapters"):
        keyed(["x=a", "x=b"])


def test_an_engine_gets_no_secrets_and_no_telemetry() -> None:
    """Our environment holds the keys of hosted APIs."""
    ours = {"PATH": "/bin", "OPENAI_API_KEY": "sk-1", "HF_TOKEN": "hf", "HF_HUB_OFFLINE": "0"}
    env = environment(Command(("x",), {"EXTRA": "1"}), ours)
    assert "sk-1" not in env.values()
    assert "HF_TOKEN" not in env
    assert env["PATH"] == "/bin"
    assert env["EXTRA"] == "1"
    for name in (
        "HF_HUB_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
        "VLLM_NO_USAGE_STATS",
    ):
        assert env[name] == "1"


def test_an_engine_that_nobody_offers_is_an_error_that_names_the_group() -> None:
    """A typo in engine = "…" must not fall back to another engine."""
    with pytest.raises(ConfigError, match=r"sovereign\.engines"):
        find("transfomers")


def test_a_plugin_without_the_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At configuration time, not at the first request."""
    monkeypatch.setattr(plugins, "load", lambda group, name: object())
    with pytest.raises(ConfigError, match="no method command"):
        find("broken")
    monkeypatch.setattr(plugins, "load", lambda group, name: TransformersEngine())
    assert isinstance(find("good"), TransformersEngine)
