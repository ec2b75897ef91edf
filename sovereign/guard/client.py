"""httpx2 clients that guard any SDK in process: ``OpenAI(http_client=guard.http_client(to))``.

What the transport does not know it refuses: other endpoints, other content types, other methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2

from sovereign.types import Destination

if TYPE_CHECKING:
    from sovereign.guard.inspect import Guard

__all__ = ["AsyncClient", "Client", "async_client", "sync_client"]

Client = httpx2.Client
AsyncClient = httpx2.AsyncClient


def sync_client(guard: Guard, to: Destination, **options: Any) -> Client:
    raise NotImplementedError


def async_client(guard: Guard, to: Destination, **options: Any) -> AsyncClient:
    raise NotImplementedError
