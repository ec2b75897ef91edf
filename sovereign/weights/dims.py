"""A model's dimensions: from its recipe, or from the config.json in its folder.

Whoever counts memory or time counts from here: `tune check` and `serve plan`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel

__all__ = ["Dims", "ModelCard", "dims_of", "model_card", "parse_memory"]

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


def model_card(name: str) -> ModelCard:
    """The shipped recipe of model ``name``. Raises :class:`ConfigError`."""
    return toml.read(recipes.find("models", name), ModelCard)


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
