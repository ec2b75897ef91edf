"""Loads verified weights and puts a LoRA on them. Knows nothing of data or training."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra, TuneError
from sovereign.tune.data import Chat
from sovereign.tune.recipe import LoraConfig, TrainConfig

__all__ = [
    "add_lora",
    "choose_precision",
    "load_base",
    "quantization",
    "quiet",
    "require",
    "require_flash",
    "set_threads",
]


@contextmanager
def quiet() -> Iterator[None]:
    """Libraries warn about each other's deprecations; what matters here is raised."""
    noisy = logging.getLogger("bitsandbytes")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        noisy.setLevel(level)


def require() -> None:
    """Raises :class:`MissingExtra` unless everything that training needs is installed."""
    try:
        import accelerate  # noqa: F401
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as e:
        raise MissingExtra(str(e.name), "tune") from None


def set_threads(wanted: int) -> None:
    """``wanted`` threads; for 0 what OMP_NUM_THREADS says, or else the cores that are free now.

    Two threads on one free core wait for each other at every product: thirty times slower.
    """
    import torch

    if wanted == 0 and "OMP_NUM_THREADS" not in os.environ:
        wanted = round(len(os.sched_getaffinity(0)) - os.getloadavg()[0])
        wanted = max(1, wanted)
    if wanted:
        torch.set_num_threads(wanted)


def choose_precision(wanted: str) -> str:
    """``wanted``, or for "auto" the faster of fp32 and bf16 on this machine, by measure.

    Some CPUs multiply bf16 in hardware and gain a half; others emulate it and lose tenfold.
    """
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    spent = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.ones(256, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
        a @ b
        best = float("inf")
        for _ in range(5):
            begun = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - begun)
        spent[name] = best
    return min(spent, key=lambda name: spent[name])


def load_base(
    folder: Path, *, precision: str, quantize: str, attention: str = "sdpa"
) -> tuple[Any, Any, Chat]:
    """Model, tokenizer and template of the verified ``folder``, from this disk alone. Raises
    :class:`TuneError` where this machine has no such ``attention``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if attention == "flash_attention_2":
        require_flash(precision)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    more: dict[str, Any] = {"attn_implementation": attention}
    if quantize != "none":
        more["quantization_config"] = quantization(quantize, dtype)
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(folder, **common)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, **common, **more
    )
    if quantize != "none":
        _mend(model)
    model.config.use_cache = False
    stops = model.generation_config.eos_token_id
    ends = set(stops if isinstance(stops, list) else [stops]) | {tokenizer.eos_token_id}
    return model, tokenizer, Chat(tokenizer, frozenset(e for e in ends if e is not None))


def add_lora(model: Any, lora: LoraConfig, train: TrainConfig) -> Any:
    """``model`` with a fresh LoRA, the only thing that trains. The seed decides its start."""
    import torch
    from peft import LoraConfig as PeftLora
    from peft import get_peft_model

    torch.manual_seed(train.seed)
    if train.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    target = lora.target if isinstance(lora.target, str) else list(lora.target)
    config = PeftLora(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=target,
        use_rslora=lora.kind == "rslora",
        use_dora=lora.kind == "dora",
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError:
        raise TuneError(
            "lora.target names modules that this model does not have", hint='try "all-linear"'
        ) from None


def require_flash(precision: str) -> None:
    """Raises :class:`TuneError` unless FlashAttention-2 can compute here. transformers would fetch
    its kernels from the Hub where the package is missing."""
    import torch
    from transformers.utils import is_flash_attn_2_available

    why = None
    if not torch.cuda.is_available():
        why = "there is no GPU here"
    elif precision != "bf16":
        why = "it computes in bf16, and this run does not"
    elif not is_flash_attn_2_available():
        why = "the package flash-attn is not installed"
    if why is not None:
        raise TuneError(
            f'train.attention = "flash_attention_2": {why}',
            hint='train.attention = "sdpa" has kernels of torch\'s own for most GPUs',
        )


def quantization(kind: str, dtype: Any) -> Any:
    """What transformers is told to hold weights in four bits or eight. Raises
    :class:`MissingExtra`."""
    from transformers import BitsAndBytesConfig

    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise MissingExtra("bitsandbytes", "tune") from None
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _mend(model: Any) -> None:
    """bitsandbytes 0.50.2 repacks NF4 weights in the first forward pass on CPUs with AVX512-BF16,
    after which gradients are zero and only a warning says so; it asks this flag first. And PEFT's
    copy of an 8-bit weight loses its scales, unless they are in the module already."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
        elif isinstance(module, Linear8bitLt) and module.weight.CB is not None:
            module.init_8bit_state()
