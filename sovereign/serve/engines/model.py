"""Loads verified weights and their adapters on the hardware that is there.

Nothing here reaches a hub or runs code from a weights folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from sovereign.errors import ServeError
from sovereign.serve.engines import adapted
from sovereign.serve.hardware import bfloat16
from sovereign.types import JSON

__all__ = ["Loaded", "choose_threads", "load"]

_PLAIN_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to generate. ``effects`` says of each adapter by how much it moves a logit of
    the probe at most; ``width`` is that of a row of logits."""

    model: Any
    tokenizer: Any
    eos: frozenset[int]
    context: int
    width: int
    dtype: str
    effects: Mapping[str, float]


def choose_threads(wanted: int) -> int:
    """How many CPU threads to use. 0 takes the cores that are free now, at least one.

    Two threads that contend for cores are slower than one: measured, 4 tokens/s instead of 60.
    """
    if wanted > 0:
        return wanted
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no cgroup v2, so no quota to respect
    return max(1, round(cores - os.getloadavg()[0]))


def load(
    weights: Path,
    adapters: Mapping[str, Path],
    told: Mapping[str, JSON] = MappingProxyType({}),
    *,
    dtype: str,
    max_context: int,
) -> Loaded:
    """The model in evaluation mode on the GPU if there is one; ``told`` as for
    :func:`adapted.load`. Raises :class:`ServeError`."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = _dtype(dtype, device)
    try:
        config = AutoConfig.from_pretrained(weights, **local)
        tokenizer = AutoTokenizer.from_pretrained(weights, **local)
        model: Any = AutoModelForCausalLM.from_pretrained(
            weights, dtype=chosen, use_safetensors=True, **local
        )
    except (torch.OutOfMemoryError, MemoryError):
        raise ServeError("not enough memory for the weights", hint="see recipes/serve") from None
    except (OSError, ValueError, KeyError, RuntimeError) as e:
        raise ServeError(f"{weights}: transformers cannot load it ({type(e).__name__})") from e
    kinds = set(getattr(config, "layer_types", None) or ()) - _PLAIN_LAYERS
    if kinds or getattr(model, "_is_stateful", False) or config.is_encoder_decoder:
        raise ServeError(
            f"{config.model_type}: this engine serves decoders with plain attention caches only",
            hint="serve it with vLLM: recipes/serve/vllm_llama31_8b.toml",
        )
    model.eval()
    model, effects = adapted.load(model, adapters, told)
    model.to(device)
    trained = getattr(config, "max_position_embeddings", None) or max_context
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        eos=_eos(model, tokenizer),
        context=min(max_context, trained),
        width=config.vocab_size,
        dtype=str(chosen).removeprefix("torch."),
        effects=effects,
    )


def _dtype(wanted: str, device: str) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it, measured twice as fast with 8
    streams, and float32 elsewhere."""
    if wanted != "auto":
        found: torch.dtype = getattr(torch, wanted)
        return found
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32 if bfloat16() == "no" else torch.bfloat16


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    ids = model.generation_config.eos_token_id
    found = set(ids if isinstance(ids, list) else [ids]) | {tokenizer.eos_token_id}
    return frozenset(i for i in found if i is not None)
