"""What a recipe needs, counted from the model's dimensions before anything is loaded.

An upper bound for one process: every row as long as ``train.max_length``, every token learnt. What
is counted is what PyTorch keeps for the backward pass of the loop in train.py; formulas follow
Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", adapted to
gated MLPs, grouped-query attention, fused attention and LoRA.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sovereign.tune.recipe import Recipe
from sovereign.weights.dims import Dims

__all__ = ["Knobs", "Need", "fitting", "need"]

GB = 1e9
NF4 = 0.5 + 0.127 / 8  # bytes per weight: four bits, and double-quantised scales (QLoRA, 2023)
INT8 = 1.01  # LLM.int8 (Dettmers et al. 2022): a byte, and a scale for each row
PROCESS = 1.2 * GB  # interpreter, libraries and allocator, as measured on a CPU


@dataclass(frozen=True, slots=True)
class Knobs:
    """What of a recipe decides memory."""

    batch: int
    max_length: int
    r: int
    target: str | tuple[str, ...]
    precision: str
    quantize: str
    checkpointing: bool
    method: str = "lora"
    kind: str = "lora"
    parts: int = 1
    """Into how many the weights and what belongs to them are cut (FSDP); each device has one."""
    attention: str = "sdpa"
    processes: int = 1
    """How many there are to cut over."""
    has_bf16: bool = True
    """Whether the device computes in it."""

    @classmethod
    def of(cls, recipe: Recipe) -> Knobs:
        train, lora = recipe.train, recipe.lora
        # "auto" may come out as either; the larger is counted.
        precision = "fp32" if train.precision == "auto" else train.precision
        return cls(
            batch=train.batch,
            max_length=train.max_length,
            r=lora.r,
            target=lora.target,
            precision=precision,
            quantize=train.quantize,
            checkpointing=train.gradient_checkpointing,
            method=train.method,
            kind=lora.kind,
            attention=train.attention,
        )


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes, part by part. ``trainable`` counts the update's parameters."""

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    process: float
    trainable: int

    @property
    def total(self) -> float:
        return sum(size for _, size in self.parts())

    def parts(self) -> list[tuple[str, float]]:
        return [
            ("weights", self.weights),
            ("adapter", self.adapter),
            ("gradients", self.gradients),
            ("optimiser", self.optimizer),
            ("activations", self.activations),
            ("logits", self.logits),
            ("process", self.process),
        ]


def need(dims: Dims, knobs: Knobs) -> Need:
    """What training with ``knobs`` holds at its peak, on one device."""
    wide = 4 if knobs.precision == "fp32" else 2
    rest = dims.parameters - dims.in_linears
    width = {"nf4": NF4, "int8": INT8}.get(knobs.quantize, wide)
    weights = dims.in_linears * width + rest * wide
    targets = _targets(dims, knobs)
    trainable = dims.layers * sum(knobs.r * (i + o) for i, o in targets.values())
    adapter = 4.0
    if knobs.kind == "dora":  # a length for each output
        trainable += dims.layers * sum(o for _, o in targets.values())
    if knobs.method == "full":  # in fp32, and once more in what they compute in
        weights = 4.0 * dims.parameters + (2.0 * dims.in_linears if wide == 2 else 0.0)
        targets, trainable, adapter = {}, dims.parameters, 0.0
    if knobs.parts > 1:
        # What a device computes with is whole: two layers (one is fetched ahead), and embeddings.
        layer = dims.in_linears / dims.layers
        weights = weights / knobs.parts + 2 * layer * width + dims.in_embeddings * wide
    tokens = knobs.batch * knobs.max_length
    one = tokens * _per_token(dims, wide, targets)
    if knobs.kind == "dora":  # what the map gave before and after its length, in fp32
        one += tokens * 8 * sum(o for _, o in targets.values())
    if knobs.attention == "eager":  # every pair: scores, their softmax in fp32, what is handed on
        one += tokens * knobs.max_length * dims.heads * (4 + 2 * wide)
    kept = dims.layers * one
    if knobs.checkpointing:
        kept = one + dims.layers * tokens * dims.hidden * wide
    return Need(
        weights=weights,
        adapter=adapter * trainable / knobs.parts,
        gradients=4.0 * trainable / knobs.parts,
        optimizer=8.0 * trainable / knobs.parts,  # AdamW: two moments in fp32
        activations=kept,
        # The logits, their fp32 copy, their log-softmax, and the gradients of both.
        logits=float(tokens * dims.vocab * (12 + (0 if wide == 4 else 4))),
        process=PROCESS,
        trainable=trainable,
    )


def fitting(dims: Dims, knobs: Knobs, memory: float) -> tuple[list[str], Need] | None:
    """The fewest turns of the recipe's knobs, as ``key=value``, that fit into ``memory`` bytes:
    none if it fits as it is, and None if nothing does."""
    for turns, turned in _turns(knobs):
        counted = need(dims, turned)
        if counted.total <= memory:
            return turns, counted
    return None


def _targets(dims: Dims, knobs: Knobs) -> dict[str, tuple[int, int]]:
    linears = dims.linears()
    if knobs.target == "all-linear":
        return linears
    wanted = (knobs.target,) if isinstance(knobs.target, str) else knobs.target
    return {name: shape for name, shape in linears.items() if name in wanted}


def _per_token(dims: Dims, wide: int, targets: dict[str, tuple[int, int]]) -> int:
    """Bytes that one layer keeps for one token."""
    h, q, kv = dims.hidden, dims.heads * dims.head_dim, dims.kv_heads * dims.head_dim
    norms = dims.norms * h * (4 + wide)  # norms compute in fp32, and hand on in `wide`
    attention = wide * (3 * q + 4 * kv)  # before and after the rotation, values, output
    mlp = wide * 4 * dims.intermediate  # gate, its activation, up, their product
    residual = wide * 2 * h
    # PEFT casts the input of each adapted map to the adapter's fp32, a copy each.
    copies = 4 * sum(i for i, _ in targets.values()) if wide == 2 else 0
    return norms + attention + mlp + residual + copies


def _turns(knobs: Knobs) -> Iterator[tuple[list[str], Knobs]]:
    """The recipe as it is, then with knobs turned one after the other, cheapest first."""
    from dataclasses import replace

    turns: list[str] = []
    yield turns, knobs
    if knobs.precision == "fp32" and knobs.quantize == "none" and knobs.has_bf16:
        knobs, turns = replace(knobs, precision="bf16"), [*turns, "train.precision=bf16"]
        yield turns, knobs
    if knobs.attention == "eager":
        knobs, turns = replace(knobs, attention="sdpa"), [*turns, "train.attention=sdpa"]
        yield turns, knobs
    if knobs.parts < knobs.processes and knobs.quantize == "none":
        knobs, turns = replace(knobs, parts=knobs.processes), [*turns, "train.shard=true"]
        yield turns, knobs
    if not knobs.checkpointing:
        knobs, turns = (
            replace(knobs, checkpointing=True),
            [*turns, "train.gradient_checkpointing=true"],
        )
        yield turns, knobs
    if knobs.batch > 1:
        grown = f"train.accumulate={knobs.batch}"
        knobs, turns = replace(knobs, batch=1), [*turns, "train.batch=1", grown]
        yield turns, knobs
    if knobs.method == "full":
        knobs, turns = replace(knobs, method="lora"), [*turns, "train.method=lora"]
        yield turns, knobs
    if knobs.quantize != "nf4":
        if knobs.parts > 1:  # weights in four bits are not cut
            knobs, turns = replace(knobs, parts=1), _without(turns, "train.shard")
        knobs, turns = replace(knobs, quantize="nf4"), [*turns, "train.quantize=nf4"]
        yield turns, knobs
    length = knobs.max_length
    while length > 256:
        length //= 2
        yield [*turns, f"train.max_length={length}"], replace(knobs, max_length=length)


def _without(turns: list[str], key: str) -> list[str]:
    """``turns`` with ``key`` off: as it was, if they turned it on."""
    left = [turn for turn in turns if not turn.startswith(f"{key}=")]
    return left if len(left) < len(turns) else [*turns, f"{key}=false"]
