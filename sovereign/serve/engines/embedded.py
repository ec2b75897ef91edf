"""The commands of the engines that ship with the toolkit. Their programs are
:mod:`sovereign.serve.engines.transformers` and :mod:`sovereign.serve.engines.whisper`."""

from __future__ import annotations

import signal
import sys

from sovereign.errors import ConfigError
from sovereign.serve.launch import Command, Launch

__all__ = ["TransformersEngine", "WhisperEngine"]


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


class WhisperEngine:
    """Transcribes recordings with transformers' Whisper, in a process of its own."""

    def command(self, launch: Launch) -> Command:
        """Raises :class:`ConfigError` for adapters: they are of language models here."""
        if launch.adapters:
            raise ConfigError(f"models.{launch.name}: whisper is served without adapters")
        argv = [sys.executable, "-m", "sovereign.serve.engines.whisper"]
        argv += ["--weights", str(launch.weights), "--name", launch.name]
        argv += ["--socket", str(launch.socket), "--threads", str(launch.threads)]
        return Command(tuple(argv))
