"""A model that is cut over the processes of a run (FSDP2): each holds a part of every weight, its
gradient and its optimiser's moments, and has a layer whole only while it computes with it.

Every process has to make the same passes and the same calls of :func:`whole` and :func:`put`, since
each hands its part to the others. For a model that is not cut, both do the plain thing.
"""

from __future__ import annotations

from typing import Any

from sovereign.errors import TuneError

__all__ = ["gathered", "is_cut", "like", "put", "shard", "whole"]


def shard(model: Any, accelerator: Any) -> None:
    """Cut ``model`` in place: layer by layer, and what is outside of layers. Parts lie on the
    device of ``accelerator``. Raises :class:`TuneError` if there is one process only."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    if accelerator.num_processes < 2:
        raise TuneError(
            "train.shard cuts a model over processes, and there is one",
            hint="torchrun --nproc_per_node 2 scripts/finetune.py RECIPE, or train.shard = false",
        )
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    names = set(model._no_split_modules or ())
    for module in model.modules():
        if type(module).__name__ in names:
            fully_shard(module, mesh=mesh)
    # Torch would leave what is outside of layers whole after a pass; then a weight read between
    # two passes would sometimes be a part and sometimes not.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    register_fsdp_forward_method(model, "generate")


def is_cut(model: Any) -> bool:
    """Whether :func:`shard` cut it."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def whole(tensor: Any) -> Any:
    """``tensor`` as every process has it together."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Any, weight: Any) -> Any:
    """``tensor``, on the device of ``weight`` and cut as it is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    tensor = tensor.to(weight.device)
    if isinstance(weight, DTensor):
        return distribute_tensor(tensor, weight.device_mesh, weight.placements)
    return tensor


def put(weight: Any, tensor: Any) -> None:
    """Write ``tensor``, which is whole, into ``weight``."""
    import torch

    with torch.no_grad():
        weight.copy_(like(tensor, weight))


def gathered(model: Any, *, keep: bool) -> dict[str, Any]:
    """What trains, whole, on the CPU, by name; nothing without ``keep``, where another process
    writes it."""
    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            tensor = whole(weight.detach())
            if keep:
                found[name] = tensor.cpu()
    return found
