"""The command of the engine that ships with the toolkit. Its program is
:mod:`sovereign.serve.engines.transformers`."""

from __future__ import annotations

import signal
import sys

from sovereign.serve.launch import Command, Launch

__all__ = ["TransformersEngine"]


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
