"""What a recipe needs, counted from the model's dimensions before anything is loaded.

An upper bound for one process: every row as long as ``train.max_length``, every token learnt. What
is counted is what PyTorch keeps for the backward pass of the loop in train.py; formulas follow
Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", adapted to
gated MLPs, grouped-query attention, fused attention and LoRA.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel
from sovereign.tune.recipe import Recipe

__all__ = ["Dims", "Knobs", "ModelCard", "Need", "fitting", "model_card", "need", "parse_memory"]

GB = 1e9
NF4 = 0.5 + 0.127 / 8  # bytes per weight: four bits, and double-quantised scales (QLoRA, 2023)
PROCESS = 1.2 * GB  # interpreter, libraries and allocator, as measured on a CPU
UNITS = {"": 1.0, "B": 1.0, "MB": 1e6, "GB": 1e9, "MIB": 2.0**20, "GIB": 2.0**30}


class Dims(StrictModel):
    """``[dims]`` of a model recipe: what its config.json says."""

    hidden: int = Field(gt=0, description="width of the residual stream")
    intermediate: int = Field(gt=0, description="width of the gated MLP")
    layers: int = Field(gt=0, description="number of decoder layers")
    heads: int = Field(gt=0, description="query heads")
    kv_heads: int = Field(gt=0, description="key and value heads")
    head_dim: int = Field(gt=0, description="width of a head")
    vocab: int = Field(gt=0, description="rows of the embedding")
    tied: bool = Field(description="whether input and output embedding are one")
    norms: int = Field(2, ge=1, description="norms of full width in a layer")
    qk_norm: bool = Field(False, description="whether queries and keys are normed")
    context: int = Field(gt=0, description="tokens it was trained for")

    def linears(self) -> dict[str, tuple[int, int]]:
        """The linear maps of one layer, by module name: inputs and outputs."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, q),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (q, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def in_linears(self) -> int:
        return self.layers * sum(i * o for i, o in self.linears().values())

    @property
    def in_embeddings(self) -> int:
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        norms = self.norms * self.hidden + (2 * self.head_dim if self.qk_norm else 0)
        return self.in_linears + self.in_embeddings + self.layers * norms + self.hidden


class ModelCard(StrictModel):
    """A recipe of ``recipes/models``: where a model comes from, under what terms, how large."""

    name: str = Field(description="what the store calls it")
    summary: str = Field("", description="one sentence for people")
    repo: str = Field(description="OWNER/NAME on the Hub")
    revision: str = Field("", description="the commit to pull; empty where we could not look it up")
    licence: str = Field(description="SPDX id, or the Hub's id for one that has none")
    gated: bool = Field(description="whether terms must be accepted on the Hub first")
    template: Literal["chatml", "llama3", "mistral", "qwen3", "gemma3"] = Field(
        description="the family of its chat template"
    )
    dims: Dims


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
            ("frozen weights", self.weights),
            ("adapter", self.adapter),
            ("gradients", self.gradients),
            ("optimiser", self.optimizer),
            ("activations", self.activations),
            ("logits", self.logits),
            ("process", self.process),
        ]


def model_card(name: str) -> ModelCard:
    """The shipped recipe of model ``name``. Raises :class:`ConfigError`."""
    return toml.read(recipes.find("models", name), ModelCard)


def need(dims: Dims, knobs: Knobs) -> Need:
    """What training with ``knobs`` holds at its peak."""
    wide = 4 if knobs.precision == "fp32" else 2
    rest = dims.parameters - dims.in_linears
    weights = dims.in_linears * (NF4 if knobs.quantize == "nf4" else wide) + rest * wide
    targets = _targets(dims, knobs)
    trainable = dims.layers * sum(knobs.r * (i + o) for i, o in targets.values())
    tokens = knobs.batch * knobs.max_length
    layer = tokens * _per_token(dims, wide, targets)
    kept = dims.layers * layer
    if knobs.checkpointing:
        kept = layer + dims.layers * tokens * dims.hidden * wide
    return Need(
        weights=weights,
        adapter=4.0 * trainable,
        gradients=4.0 * trainable,
        optimizer=8.0 * trainable,  # AdamW: two moments in fp32
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


def parse_memory(text: str) -> float:
    """``24GB``, ``16GiB``, ``900MB`` in bytes. Raises :class:`ConfigError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not found or found[2].upper() not in UNITS or not float(found[1]):
        raise ConfigError(f"{text!r} is no amount of memory", hint="such as --memory 24GB")
    return float(found[1]) * UNITS[found[2].upper()]


def dims_of(config: dict[str, Any]) -> Dims:
    """The dimensions in a config.json. Raises :class:`ConfigError` for other architectures."""
    try:
        heads = config["num_attention_heads"]
        return Dims(
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            vocab=config["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", False)),
            norms=4 if str(config.get("model_type", "")).startswith("gemma3") else 2,
            qk_norm=config.get("model_type") in ("qwen3", "gemma3_text"),
            context=config["max_position_embeddings"],
        )
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            "the model's config.json does not have the dimensions of a plain decoder",
            hint="add a recipe for it to recipes/models",
        ) from None


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
    if knobs.precision == "fp32" and knobs.quantize == "none":
        knobs, turns = replace(knobs, precision="bf16"), [*turns, "train.precision=bf16"]
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
    if knobs.quantize == "none":
        knobs, turns = replace(knobs, quantize="nf4"), [*turns, "train.quantize=nf4"]
        yield turns, knobs
    length = knobs.max_length
    while length > 256:
        length //= 2
        yield [*turns, f"train.max_length={length}"], replace(knobs, max_length=length)
