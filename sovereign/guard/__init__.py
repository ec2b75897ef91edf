"""The guard: may this leave, and in what form? It imports no torch and opens no socket."""

from __future__ import annotations

from sovereign.guard.body import KEY, Limits
from sovereign.guard.events import EventRestorer
from sovereign.guard.inspect import Guard, Inspection, TakesLong
from sovereign.guard.restore import Restorer

__all__ = ["KEY", "EventRestorer", "Guard", "Inspection", "Limits", "Restorer", "TakesLong"]
