"""Turns a GGUF file into a folder of safetensors, tokenizer and configuration. Knows no store.

Dequantised to bf16 by default: the blocks hold four bits, so nothing more can be in them. fp32
keeps every product of scale and level exactly, at twice the size.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra, NotAdmitted, WeightsError

__all__ = ["DTYPES", "convert", "quiet"]

DTYPES = ("bfloat16", "float32")
CONVERTERS = ("gguf", "torch", "transformers")
PAD_TOKENS = ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<unk>")
"""Tokens that other parts of training and serving never wait for, best first."""
LOCAL_KEYS = (
    "_model_name_or_path",
    "_name_or_path",
    "name_or_path",
    "is_local",
    "local_files_only",
)
"""What save_pretrained writes about this machine; it would change the digest."""


def convert(source: Path, target: Path, *, dtype: str = "bfloat16") -> dict[str, str]:
    """Write the model in ``source`` into the empty folder ``target``.

    Returns the converters and their versions. Raises :class:`NotAdmitted` if the file is no GGUF
    that transformers knows, :class:`MissingExtra` without the tune or serve extra.
    """
    if dtype not in DTYPES:
        raise WeightsError(f"{dtype!r} is no dtype to convert to", hint=", ".join(DTYPES))
    with source.open("rb") as f:
        if f.read(4) != b"GGUF":
            raise NotAdmitted(f"{source.name}: not a GGUF file")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError:
        raise MissingExtra("transformers (it reads GGUF)", "serve") from None
    where: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
            model = AutoModelForCausalLM.from_pretrained(
                source.parent,
                quantization_config=GgufConfig(dequantize=True),
                dtype=getattr(torch, dtype),
                **where,
            )
        except MemoryError:
            raise
        except Exception as e:  # noqa: BLE001 - the parser of a foreign file may raise anything
            raise NotAdmitted(
                f"{source.name}: transformers cannot read it ({type(e).__name__})",
                hint="its architecture or its quantisation is not supported",
            ) from None
        tokenizer.model_max_length = model.config.max_position_embeddings
        _set_pad(tokenizer, model)
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    for file in target.glob("*config.json"):
        _drop_local(file)
    return {name: importlib.metadata.version(name) for name in CONVERTERS}


def _set_pad(tokenizer: Any, model: Any) -> None:
    """A pad token that is not an end token: trainers mask padding out of the loss, and would mask
    the end of every answer with it."""
    ends = model.generation_config.eos_token_id
    stops = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in stops:
        vocabulary = tokenizer.get_vocab()
        free = [t for t in PAD_TOKENS if t in vocabulary and vocabulary[t] not in stops]
        if not free:
            return
        tokenizer.pad_token = free[0]
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id


def _drop_local(file: Path) -> None:
    data = json.loads(file.read_text())
    for key in LOCAL_KEYS:
        data.pop(key, None)
    file.write_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """transformers and gguf draw bars of their own; errors are raised, not printed."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
