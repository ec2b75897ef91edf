"""What a launcher may make of a run: how many processes. Whether each holds the whole model or a
part is the recipe's to say (``train.shard``), so that check, run and passport say the same."""

from __future__ import annotations

from typing import Any

from sovereign.errors import TuneError

__all__ = ["agreed", "hold"]


def hold(accelerator: Any) -> None:
    """Raises :class:`TuneError` where a launcher would cut the model into parts by itself: the
    update would be saved in parts, too, and each process would hold its own to be the whole."""
    kind = str(accelerator.distributed_type.value)
    if kind not in ("NO", "MULTI_GPU", "MULTI_CPU"):
        raise TuneError(
            f"the launcher asks for {kind}, and here the recipe says what is cut",
            hint="recipes/deploy/ddp.yaml, and train.shard = true for a model that is too large",
        )


def agreed(said: str) -> str:
    """What the first process says, in every process."""
    from accelerate.utils import broadcast_object_list

    words = [said]
    broadcast_object_list(words)
    return words[0]
