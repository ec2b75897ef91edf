"""Tells a lack of memory from other failures of torch."""

from __future__ import annotations

import torch

__all__ = ["lacked"]

_SAID = ("allocate memory", "could not create a primitive", "could not create a memory")
"""Allocators on CPUs and oneDNN have no class of error of their own."""


def lacked(error: BaseException) -> bool:
    """Whether ``error`` says that there was not enough memory."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)
    )
