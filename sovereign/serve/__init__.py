"""Runs models inside: each engine is a process of its own, reached over a Unix socket.

Only :mod:`sovereign.serve.engines.transformers`, run as a process, imports torch.
"""

from __future__ import annotations

from sovereign.serve.supervise import Supervisor, engines_from_config

__all__ = ["Supervisor", "engines_from_config"]
