"""Adapters over a real base that were drawn, not trained: quick to make, and they move logits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

__all__ = ["random_adapter"]


def random_adapter(weights: Path, base_digest: str, folder: Path, *, seed: int) -> Path:
    """A LoRA adapter in ``folder`` with the record that ``sovereign tune`` writes beside one."""
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
    files = [
        {"path": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for name in ("adapter_config.json", "adapter_model.safetensors")
    ]
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    record = {"base": {"digest": base_digest}, "adapter": {"digest": digest, "files": files}}
    (folder / "sovereign.json").write_text(json.dumps(record))
    return folder
