"""The commands of the engines that ship with the toolkit. Their programs are
the modules ``transformers``, ``whisper`` and ``diffusers`` beside this one."""

from __future__ import annotations

import signal
import sys

from sovereign.errors import ConfigError
from sovereign.serve.launch import Command, Launch

__all__ = ["SingleEngine", "TransformersEngine"]


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


class SingleEngine:
    """A model that answers one request after the other, in a process of its own: ``whisper``
    transcribes recordings, ``diffusers`` makes pictures."""

    def __init__(self, program: str) -> None:
        """``program`` is the module beside this one, and the engine's name."""
        self._program = program

    def command(self, launch: Launch) -> Command:
        """Raises :class:`ConfigError` for adapters: they are of language models here."""
        if launch.adapters:
            raise ConfigError(f"models.{launch.name}: {self._program} is served without adapters")
        argv = [sys.executable, "-m", f"sovereign.serve.engines.{self._program}"]
        argv += ["--weights", str(launch.weights), "--name", launch.name]
        argv += ["--socket", str(launch.socket), "--threads", str(launch.threads)]
        return Command(tuple(argv))
