"""Adapters over a real base that were drawn, not trained: quick to make, and they move logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.tune.adapter import effect_of
from sovereign.weights import passport
from sovereign.weights.lock import File, digest_of
from sovereign.weights.staging import hash_file

__all__ = ["random_adapter", "stamp"]


def random_adapter(
    weights: Path, base_digest: str, folder: Path, key: Ed25519PrivateKey, *, seed: int
) -> Path:
    """A LoRA adapter in ``folder`` with a passport that ``key`` signs."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.bfloat16)
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=1.0)
    model.save_pretrained(folder)
    stamp(folder, base_digest, key, predicate={"effect": effect_of(model, quantized=False)})
    return folder


def stamp(
    folder: Path,
    base_digest: str,
    key: Ed25519PrivateKey,
    *,
    digest: str | None = None,
    predicate: Mapping[str, Any] | None = None,
    name: str = "base",
) -> bytes:
    """A passport for the files in ``folder``, signed by ``key``; its payload is returned."""
    files = []
    for path in sorted(folder.iterdir()):
        if path.name not in (passport.NAME, passport.CARD):
            files.append(File(path.name, *hash_file(path)))
    said = {
        "base": {"name": name, "digest": base_digest},
        "adapter": {"digest": digest or digest_of(files)},
        **(predicate or {}),
    }
    payload = passport.statement(said, files)
    (folder / passport.NAME).write_bytes(passport.seal(payload, key))
    return payload
