"""What an engine is to its supervisor: a program, its arguments, and a socket that speaks OpenAI.

An engine never shares our process. It is told where verified weights lie and on which Unix socket
to listen, and it answers ``GET /health`` there once it can generate. Others (vLLM, llama.cpp) come
in as plugins of the group ``sovereign.engines``: an object with :class:`Engine`'s one method.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sovereign import plugins
from sovereign.errors import ConfigError

__all__ = ["Command", "Engine", "Launch", "TransformersEngine", "environment", "find", "keyed"]


@dataclass(frozen=True, slots=True)
class Launch:
    """What to serve and where. ``threads`` is 0 for "what is free"; ``base_digest`` is the store's
    digest of the weights, which an adapter must have been trained on, as a passport says that one
    of the keys in ``trust`` signed. The adapter at ``""`` answers
    to ``name``, any other to ``name:key``."""

    name: str
    weights: Path
    socket: Path
    adapters: Mapping[str, Path] = field(default_factory=dict)
    base_digest: str = ""
    trust: tuple[str, ...] = ()
    max_context: int = 2048
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A program to spawn. ``env`` is added to :func:`environment`, which is all that it gets. At
    ``drain_signal`` it answers what it was asked, and ends."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    drain_signal: signal.Signals = signal.SIGTERM


class Engine(Protocol):
    """Builds the command that serves ``launch.weights`` on ``launch.socket`` with the OpenAI wire.

    The program must stay in the foreground, exit when its standard input ends, and make its socket
    unreadable to others. Raises :class:`ConfigError` for what it cannot serve.
    """

    def command(self, launch: Launch) -> Command: ...


class TransformersEngine:
    """The engine that ships with the toolkit: transformers in a process of its own."""

    def command(self, launch: Launch) -> Command:
        argv = [sys.executable, "-m", "sovereign.serve.engines.transformers"]
        argv += ["--weights", str(launch.weights), "--name", launch.name]
        argv += ["--socket", str(launch.socket), "--max-context", str(launch.max_context)]
        argv += ["--threads", str(launch.threads), "--exit-with-stdin"]
        if launch.base_digest:
            argv += ["--base-digest", launch.base_digest]
        for key in launch.trust:
            argv += ["--trust", key]
        for key, path in launch.adapters.items():
            argv += ["--adapter", f"{key}={path}"]
        return Command(tuple(argv), drain_signal=signal.SIGUSR1)


def keyed(adapters: Iterable[str]) -> dict[str, Path]:
    """``KEY=FOLDER``, or ``FOLDER`` alone for the key ``""``. Raises :class:`ConfigError`."""
    found: dict[str, Path] = {}
    for text in adapters:
        key, equals, folder = text.partition("=")
        if not equals or not _KEY.fullmatch(key):
            key, folder = "", text.removeprefix("=")
        if key in found:
            raise ConfigError(f"two adapters for {key or 'the model itself'}")
        found[key] = Path(folder)
    return found


_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_BUILT_IN: dict[str, Engine] = {"transformers": TransformersEngine()}


def find(name: str) -> Engine:
    """The engine that ``[models.NAME] engine = "…"`` names. Raises :class:`ConfigError`."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    found = plugins.load("sovereign.engines", name)
    if not callable(getattr(found, "command", None)):
        raise ConfigError(
            f"plugin {name!r} in sovereign.engines has no method command(launch)",
            hint="see sovereign.serve.engines.Engine",
        )
    engine: Engine = found
    return engine


# What a program needs to run at all. Everything else stays out: our own environment holds the keys
# of hosted APIs, and an engine has no business with them.
_PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "TMPDIR",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "TRITON_CACHE_DIR",
)
_QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    # A thread that waits for another spins for some 100 microseconds, then sleeps. Sleeping at once
    # costs a wake-up for each of hundreds of small products in a token, and left a core idle; the
    # default spins for milliseconds, which two threads on busy cores do to each other.
    "GOMP_SPINCOUNT": "100000",
}


def environment(command: Command, source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of an engine: what it needs, telemetry and hub off, no secrets."""
    env = {k: source[k] for k in _PASSED if k in source}
    return {**env, **_QUIET, **command.env}
