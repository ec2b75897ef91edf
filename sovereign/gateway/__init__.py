"""The door: keys, guard, routing and record-before-send, on the OpenAI and Anthropic wires.

The public names load on first use: the command line imports this room without its servers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sovereign.gateway.app import create_app
    from sovereign.gateway.keys import Key, KeyRing
    from sovereign.gateway.server import run

__all__ = ["Key", "KeyRing", "create_app", "run"]

_HOME = {"Key": "keys", "KeyRing": "keys", "create_app": "app", "run": "server"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sovereign.gateway' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sovereign.gateway.{_HOME[name]}"), name)
