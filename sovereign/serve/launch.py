"""What an engine is told, what it answers, and the environment that its program gets."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sovereign.errors import ConfigError
from sovereign.serving import ModelConfig

__all__ = ["SOCKET", "Command", "Engine", "Launch", "Probe", "environment", "kept", "keyed"]

SOCKET = "{socket}.sock"
"""Stands in a program's arguments for the path that it listens at. llama.cpp knows a socket by the
end of its name."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to serve and where. ``weights`` is a folder, or a GGUF file. ``threads`` is 0 for "what
    is free"; ``base_digest`` is the store's digest of the weights, which an adapter must have been
    trained on, as a passport says that one of the keys in ``trust`` signed. The adapter at ``""``
    answers to ``name``, any other to ``name:key``. ``model`` has the tables of the engines."""

    name: str
    weights: Path
    socket: Path
    adapters: Mapping[str, Path] = field(default_factory=dict)
    base_digest: str = ""
    trust: tuple[str, ...] = ()
    max_context: int = 2048
    threads: int = 0
    model: ModelConfig = field(default_factory=lambda: ModelConfig(base=""))


@dataclass(frozen=True, slots=True)
class Probe:
    """Names on the wire: each of ``adapters`` must answer otherwise than ``base`` does."""

    base: str
    adapters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A program to spawn. ``env`` is added to :func:`environment`, which is all that it gets. At
    ``drain_signal`` it answers what it was asked, and ends. What a ``foreign`` one writes may hold
    text of requests: it is read until the first of them can come, and no longer. ``probe`` is for
    one that does not look itself whether its adapters do anything."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    drain_signal: signal.Signals = signal.SIGTERM
    foreign: bool = False
    probe: Probe | None = None


class Engine(Protocol):
    """Builds the command that serves ``launch.weights`` on ``launch.socket`` with the OpenAI wire.

    The program must stay in the foreground, exit when its standard input ends, and make its socket
    unreadable to others. Raises :class:`ConfigError` for what it cannot serve.
    """

    def command(self, launch: Launch) -> Command: ...


_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


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


def kept(argv: Sequence[str], path: Path, *, network: bool, drains: bool) -> tuple[str, ...]:
    """The command that keeps ``argv`` at ``path``. ``network``: it reaches other machines, and may.
    ``drains``: at SIGTERM it answers what it was asked before it ends."""
    ours = [sys.executable, "-m", "sovereign.serve.keeper", "--socket", str(path)]
    ours += ["--network"] * network + ["--drains"] * drains
    return (*ours, "--", *argv)


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
