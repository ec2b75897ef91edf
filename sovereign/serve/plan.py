"""What serving a model takes: memory part by part, which GPUs and how many, and how fast at best.

Counted from the model's dimensions; nothing is loaded. Speeds are a roofline (Williams et al.,
2009): a step takes as long as moving the weights and the cache, or as the arithmetic, whichever is
longer, at the shares of the data sheet's figures in :class:`Assumptions`. They are for choosing
hardware, not a promise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sovereign.errors import ConfigError
from sovereign.serve.hardware import Bfloat16, Gpu
from sovereign.weights.dims import Dims

__all__ = ["Assumptions", "Fleet", "Load", "Memory", "Precision", "embedded", "fleets", "on_gpu"]

Precision = Literal["bf16", "int8", "fp8", "int4"]

_LINEAR: dict[Precision, float] = {"bf16": 2, "int8": 1, "fp8": 1, "int4": 0.5 + 2 / 128}
"""Bytes per weight of a linear map; int4 has a scale of two bytes for 128 weights (GPTQ, AWQ). The
embeddings stay in bfloat16 in all of them."""


def _says(default: float, words: str) -> Any:
    return field(default=default, metadata={"says": words})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the figures rest on, each with the words that are shown beside it."""

    moved: float = _says(0.7, "of the memory's bandwidth is reached when tokens are written")
    computed: float = _says(0.45, "of the FLOP/s are reached when a prompt is read")
    doubled: float = _says(0.9, "of each GPU's speed is left when twice as many share a copy")
    filled: float = _says(0.5, "of the contexts is filled, on average")
    used: float = _says(0.9, "of a GPU's memory is taken (vLLM's --gpu-memory-utilization)")
    batched: float = _says(8192, "tokens are read in a step (vLLM's --max-num-batched-tokens)")
    overhead: float = _says(1e9, "bytes on each GPU are CUDA's, its graphs' and fragments'")


@dataclass(frozen=True, slots=True)
class Load:
    """``users`` requests run at once, each holding up to ``context`` tokens; ``adapters`` LoRA
    adapters of ``rank`` on all linear maps lie beside the weights."""

    users: int
    context: int
    adapters: int = 0
    rank: int = 16


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, part by part."""

    weights: float
    cache: float
    adapters: float
    working: float
    process: float

    @property
    def total(self) -> float:
        return sum(size for _, size in self.parts())

    def parts(self) -> list[tuple[str, float]]:
        return [
            ("weights", self.weights),
            ("cache of keys and values", self.cache),
            ("adapters", self.adapters),
            ("working memory", self.working),
            ("process", self.process),
        ]


@dataclass(frozen=True, slots=True)
class Fleet:
    """``replicas`` copies of the model, each cut over ``cut`` GPUs. Speeds are of the whole fleet,
    tokens/s, but ``each``, which is what one of the users sees; ``first_s`` is the wait for the
    first token after a full prompt, alone."""

    gpu: Gpu
    cut: int
    replicas: int
    users_each: int
    memory: Memory
    reads: float
    writes: float
    each: float
    first_s: float

    @property
    def gpus(self) -> int:
        return self.cut * self.replicas


def weight_bytes(dims: Dims, precision: Precision) -> float:
    """The weights in memory."""
    return dims.in_linears * _LINEAR[precision] + (dims.parameters - dims.in_linears) * 2


def cache_bytes(dims: Dims) -> float:
    """Keys and values of one token, in bfloat16."""
    return 2.0 * dims.layers * dims.kv_heads * dims.head_dim * 2


def adapter_bytes(dims: Dims, rank: int) -> float:
    """One LoRA adapter on all linear maps, in bfloat16."""
    return 2.0 * dims.layers * rank * sum(i + o for i, o in dims.linears().values())


# ---- the embedded engine on a CPU ----------------------------------------------------------------

# Measured on this engine with SmolLM2-135M (docs/serve.md): what is resident before weights, how
# many times the cache is there at the peak (each step makes it longer by copying, a request that
# joins pads it), and the same for what a chunk of a prompt goes through. A CPU that multiplies in
# vectors takes less of the first two.
_PROCESS: Mapping[Bfloat16, float] = {"tiles": 0.451e9, "vectors": 0.383e9, "no": 0.451e9}
_CACHES: Mapping[Bfloat16, float] = {"tiles": 3.5, "vectors": 2.23, "no": 3.5}
_WORKING = 10
_CHUNK = 512
_SLOTS = 8


def embedded(dims: Dims, load: Load, *, bf16: Bfloat16) -> Memory:
    """The embedded engine on a CPU, at its peak. It runs eight requests at once; others wait, and
    hold nothing. ``bf16``: how the CPU multiplies bfloat16, which the engine computes in then;
    else it does in float32. Cache and work were measured to take the same then: twice as large,
    and half as often there."""
    tokens = min(load.users, _SLOTS) * load.context
    chunk = min(_CHUNK, tokens) * (3 * dims.intermediate + 4 * dims.hidden) * 2
    stored = weight_bytes(dims, "bf16")
    cache, working = _CACHES[bf16] * tokens * cache_bytes(dims), float(_WORKING * chunk)
    if bf16 == "no":  # while it is loaded, what the file holds is there, too
        working = max(working, stored - cache)
    return Memory(
        weights=2 * stored if bf16 == "no" else stored,
        cache=cache,
        # PEFT keeps an adapter in float32.
        adapters=2 * load.adapters * adapter_bytes(dims, load.rank),
        working=working,
        process=_PROCESS[bf16],
    )


# ---- vLLM on GPUs --------------------------------------------------------------------------------


def on_gpu(dims: Dims, load: Load, precision: Precision, cut: int, assumed: Assumptions) -> Memory:
    """One of the ``cut`` GPUs of a copy of the model that serves ``load``."""
    # Heads of keys and values are not cut any further than to one on each GPU.
    heads = max(1, math.ceil(dims.kv_heads / cut)) / dims.kv_heads
    step = assumed.batched * (3 * dims.intermediate / cut + 4 * dims.hidden) * 2
    logits = 256 * dims.vocab * 8 / cut
    return Memory(
        weights=weight_bytes(dims, precision) / cut,
        cache=load.users * load.context * cache_bytes(dims) * heads,
        adapters=load.adapters * adapter_bytes(dims, load.rank) / cut,
        working=step + logits,
        process=assumed.overhead,
    )


def fleets(
    dims: Dims,
    load: Load,
    precision: Precision,
    gpus: Iterable[Gpu],
    assumed: Assumptions,
) -> list[Fleet]:
    """For each kind of GPU the fewest that serve ``load``, the smallest fleet first. Kinds that
    cannot hold one request are left out. Raises :class:`ConfigError` for a context that the model
    was not trained for."""
    if load.context > dims.context:
        raise ConfigError(
            f"the model was trained for {dims.context} tokens, not for {load.context}",
            hint="a smaller --context, or another model",
        )
    found = []
    for gpu in gpus:
        made = [
            fleet
            for cut in (1, 2, 4, 8)
            if dims.heads % cut == 0
            and (fleet := _fleet(dims, load, precision, gpu, cut, assumed)) is not None
        ]
        if made:
            found.append(min(made, key=lambda f: (f.gpus, f.cut)))
    return sorted(found, key=lambda f: (f.gpus, f.gpu.memory))


def _fleet(
    dims: Dims, load: Load, precision: Precision, gpu: Gpu, cut: int, assumed: Assumptions
) -> Fleet | None:
    room = gpu.memory * assumed.used

    def counted(users: int) -> Memory:
        one = Load(users, load.context, load.adapters, load.rank)
        return on_gpu(dims, one, precision, cut, assumed)

    bare, one = counted(0).total, counted(1).total
    fits = int((room - bare) // (one - bare))
    if fits < 1:
        return None
    replicas = math.ceil(load.users / fits)
    users = math.ceil(load.users / replicas)
    speed = cut * assumed.doubled ** math.log2(cut)
    moved = weight_bytes(dims, precision) + (
        users * load.context * assumed.filled * cache_bytes(dims)
    )
    multiplied = 2.0 * (dims.in_linears + dims.vocab * dims.hidden)
    step = max(
        moved / (gpu.bandwidth * assumed.moved * speed),
        users * multiplied / (gpu.flops * assumed.computed * speed),
    )
    reads = gpu.flops * assumed.computed * speed / multiplied
    return Fleet(
        gpu=gpu,
        cut=cut,
        replicas=replicas,
        users_each=users,
        memory=counted(users),
        reads=reads * replicas,
        writes=users / step * replicas,
        each=1 / step,
        first_s=load.context / reads,
    )
