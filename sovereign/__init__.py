"""sovereign: open models on your own data and machines, and proof of what left.

The public names load on first use, so that ``import sovereign`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sovereign.audit.log import Log
    from sovereign.config import Config, load_config
    from sovereign.errors import SovereignError
    from sovereign.guard import Guard
    from sovereign.policy import Policy, load_policy
    from sovereign.types import Action, Destination, Finding, Verdict

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Config",
    "Destination",
    "Finding",
    "Guard",
    "Log",
    "Policy",
    "SovereignError",
    "Verdict",
    "__version__",
    "load_config",
    "load_policy",
]

_HOME = {
    "Action": "sovereign.types",
    "Config": "sovereign.config",
    "Destination": "sovereign.types",
    "Finding": "sovereign.types",
    "Guard": "sovereign.guard",
    "Log": "sovereign.audit.log",
    "Policy": "sovereign.policy",
    "SovereignError": "sovereign.errors",
    "Verdict": "sovereign.types",
    "load_config": "sovereign.config",
    "load_policy": "sovereign.policy",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sovereign' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
