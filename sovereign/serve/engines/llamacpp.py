"""llama.cpp's server as an engine: one GGUF file, few users, little memory.

Flags as in the sources that llama-cpp-python 0.3.36 carries (common/arg.cpp). Its own web page, its
tools, its slots and its network are off; nobody but us can open its socket.
"""

from __future__ import annotations

import signal

from sovereign.errors import ConfigError
from sovereign.serve.launch import SOCKET, Command, Launch, kept

__all__ = ["LlamaCppEngine"]


class LlamaCppEngine:
    """Builds ``llama-server`` for ``launch.weights``, a GGUF file."""

    def command(self, launch: Launch) -> Command:
        """Raises :class:`ConfigError` for adapters: a request cannot name one on this wire."""
        options = launch.model.llamacpp
        if options is None:
            raise ConfigError(f"models.{launch.name}: a table llamacpp must name its gguf")
        if launch.adapters:
            raise ConfigError(
                f"models.{launch.name}: llama.cpp is served without adapters",
                hint="`sovereign tune export` merges one into its base",
            )
        argv = [*options.program, "--model", str(launch.weights), "--alias", launch.name]
        argv += ["--host", SOCKET, "--offline"]
        # Each slot has its own part of the cache: no answer can take another's room.
        argv += ["--ctx-size", str(launch.max_context * options.slots)]
        argv += ["--parallel", str(options.slots), "--no-kv-unified", "--no-context-shift"]
        argv += ["--gpu-layers", str(options.gpu_layers)]
        argv += ["--no-slots", "--no-ui", "--no-agent", "--no-ui-mcp-proxy"]
        argv += ["--timeout", "600", "--log-verbosity", "1"]
        if not options.prompt_cache:
            argv += ["--no-cache-prompt", "--cache-ram", "0"]
        if launch.threads:
            argv += ["--threads", str(launch.threads)]
        return Command(
            kept(argv, launch.socket, network=False, drains=False),
            dict(options.environment),
            drain_signal=signal.SIGUSR1,
            foreign=True,
        )
