"""While a run lasts, this process opens no network connection. Whoever tries is refused.

An audit hook sees every connection that Python code makes, whichever library makes it. It cannot be
removed once added, so it is added once and asks a counter whether a run is on.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ENVIRONMENT", "offline"]

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Read by libraries when they are imported, so this is set before the first import of them."""

WATCHED = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
WATCHED |= {"socket.gethostbyname", "socket.bind"}

LOOPBACK = ("127.0.0.1", "::1")

_state: dict[str, Any] = {"installed": False, "runs": 0, "refused": 0}


@contextmanager
def offline() -> Iterator[Refusals]:
    """Refuse every connection of this process until the end of the block.

    A library that tolerates a refusal goes on; the number of refusals is kept, and is in the record
    of the run.
    """
    os.environ.update(ENVIRONMENT)
    if not _state["installed"]:
        sys.addaudithook(_hook)
        _state["installed"] = True
    before = _state["refused"]
    _state["runs"] += 1
    try:
        yield Refusals(before)
    finally:
        _state["runs"] -= 1


class Refusals:
    """How many connections were refused since the block began."""

    def __init__(self, before: int) -> None:
        self._before = before

    @property
    def count(self) -> int:
        return int(_state["refused"]) - self._before


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event not in WATCHED or not _state["runs"]:
        return
    if event not in ("socket.getaddrinfo", "socket.gethostbyname"):
        family = getattr(args[0], "family", None)
        if family not in (socket.AF_INET, socket.AF_INET6):
            return  # a Unix socket stays on this machine
        if event == "socket.bind" and args[1][0] in LOOPBACK:
            return  # urllib3 asks so, when it is imported, whether there is IPv6
    _state["refused"] += 1
    raise ConnectionRefusedError("the network is closed during a fine-tune")
