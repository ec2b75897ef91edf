"""Adapters over one base: loaded side by side, each proven to do something.

They are not merged: merging into bfloat16 moves logits (by up to 1.1), and costs a fifth of the
speed back. Which row of a batch answers with which is said at each pass.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from sovereign.errors import PassportRefused, ServeError
from sovereign.types import JSON
from sovereign.weights import effect

__all__ = ["choose", "load", "none", "slot"]


def slot(key: str) -> str:
    """What PEFT calls the adapter of ``key``: a name of a module, so never empty."""
    return f"adapter_{key}"


def load(
    base: Any, adapters: Mapping[str, Path], told: Mapping[str, JSON] = MappingProxyType({})
) -> tuple[Any, dict[str, float]]:
    """The base with its adapters, and the largest change of a logit that each makes on the probe.
    ``told`` are the fingerprints in their passports, by the same keys, of those that have one.

    vllm#34186 and others: adapters load without a word and do nothing. Raises
    :class:`ServeError`.
    """
    if not adapters:
        return base, {}
    vocab = base.get_input_embeddings().weight.shape[0]
    probe = torch.tensor([effect.probe(vocab)])
    dtype = str(base.dtype).removeprefix("torch.")
    with torch.inference_mode():
        before = base(input_ids=probe, use_cache=False).logits[0].float()
    model: Any = None
    effects: dict[str, float] = {}
    for key, folder in adapters.items():
        model = _add(base if model is None else model, slot(key), folder, first=model is None)
        model.set_adapter(slot(key))
        model.eval()
        with torch.inference_mode():
            after = model(input_ids=probe, use_cache=False).logits[0].float()
        if not torch.isfinite(after).all():
            raise ServeError(f"{folder}: the adapter makes logits that are not numbers")
        effects[key] = float((after - before).abs().max())
        if effects[key] == 0.0:
            raise ServeError(
                f"{folder}: the adapter has no effect: logits with and without it are equal",
                hint="it was not trained, or its layers do not fit this base",
            )
        try:
            effect.compare(told.get(key), before, after, dtype=dtype)
        except PassportRefused as e:
            raise ServeError(f"{folder}: {e.message}", hint=e.hint) from None
    return model, effects


def _add(model: Any, name: str, folder: Path, *, first: bool) -> Any:
    from peft import PeftModel

    if not (folder / "adapter_model.safetensors").is_file():
        raise ServeError(f"{folder}: no adapter_model.safetensors; other formats are not loaded")
    local: dict[str, Any] = {"is_trainable": False, "local_files_only": True}
    try:
        config = json.loads((folder / "adapter_config.json").read_bytes())
        if config.get("use_dora"):
            raise ServeError(
                f"{folder}: a DoRA adapter is served merged into its base only",
                hint="`sovereign tune export ADAPTER DEST`, then `sovereign weights import DEST`",
            )
        with warnings.catch_warnings():
            # PEFT only warns when half of an adapter is missing.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            if first:
                return PeftModel.from_pretrained(model, str(folder), adapter_name=name, **local)
            loaded = model.load_adapter(str(folder), adapter_name=name, **local)
            if loaded.missing_keys or loaded.unexpected_keys:
                raise KeyError(name)
            return model
    except (UserWarning, OSError, ValueError, KeyError, TypeError, RuntimeError) as e:
        raise ServeError(f"{folder}: PEFT cannot load it ({type(e).__name__})") from e


def choose(slots: Sequence[str]) -> dict[str, Any]:
    """The argument of a pass in which row ``i`` answers with ``slots[i]``, empty for the base."""
    return {"adapter_names": [name or "__base__" for name in slots]}


def none(model: Any) -> contextlib.AbstractContextManager[Any]:
    """While it is entered, the model is its base."""
    switched_off: contextlib.AbstractContextManager[Any] = model.disable_adapter()
    return switched_off
