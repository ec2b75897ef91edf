"""What a launcher may make of a run: how many processes, and whether each holds the whole model."""

from __future__ import annotations

from typing import Any

from sovereign.errors import TuneError

__all__ = ["hold"]


def hold(accelerator: Any) -> None:
    """Raises :class:`TuneError` where a launcher would cut the model into parts: the update would
    be saved in parts, too, and each process would hold its own to be the whole."""
    kind = str(accelerator.distributed_type.value)
    if kind not in ("NO", "MULTI_GPU", "MULTI_CPU"):
        raise TuneError(
            f"the launcher asks for {kind}, and a run needs the whole model in each process",
            hint="recipes/deploy/ddp.yaml; for a model that is too large: train.quantize = "
            '"nf4", train.gradient_checkpointing = true',
        )
