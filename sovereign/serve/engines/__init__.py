"""What an engine is to its supervisor: a program, its arguments, and a socket that speaks OpenAI.

An engine never shares our process. It is told where verified weights lie and on which Unix socket
to listen, and it answers ``GET /health`` there once it can generate. Others come in as plugins of
the group ``sovereign.engines``: an object with :class:`Engine`'s one method.
"""

from __future__ import annotations

from sovereign import plugins
from sovereign.errors import ConfigError
from sovereign.serve.engines.embedded import SingleEngine, TransformersEngine
from sovereign.serve.engines.llamacpp import LlamaCppEngine
from sovereign.serve.engines.vllm import VllmEngine
from sovereign.serve.launch import Command, Engine, Launch, Probe, environment, keyed

__all__ = [
    "Command",
    "Engine",
    "Launch",
    "LlamaCppEngine",
    "Probe",
    "SingleEngine",
    "TransformersEngine",
    "VllmEngine",
    "environment",
    "find",
    "keyed",
]

_BUILT_IN: dict[str, Engine] = {
    "diffusers": SingleEngine("diffusers"),
    "llamacpp": LlamaCppEngine(),
    "transformers": TransformersEngine(),
    "vllm": VllmEngine(),
    "whisper": SingleEngine("whisper"),
}


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
