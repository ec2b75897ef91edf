"""A tiny model of a family with an adapter on it, and what the two say, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters import stamp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from families import make_base

from sovereign.tune import model as tune_model
from sovereign.tune.recipe import LoraConfig, TrainConfig
from sovereign.weights.store import Store

__all__ = ["KEY", "OFF", "SAID", "TOKENS", "TRUST", "Made", "greedy"]

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUST = [KEY.public_key()]
SAID = (
    {"role": "user", "content": "Which ward has extension 4711?"},
    {"role": "assistant", "content": "Ward 3B, second floor."},
)
TOKENS = 24
OFF = 2e-4  # fp32, another order of sums


class Made:
    """A family's base in a store, and an adapter on it with a passport."""

    def __init__(self, family: str, root: Path, *, scale: int = 1) -> None:
        import torch

        self.store = Store(root / "store", root / "store.lock")
        self.entry = self.store.add_folder(
            make_base(family, root / family, scale=scale), name=family
        )
        self.base = self.store.get(family)
        plain, self.tokenizer, self.template = tune_model.load_base(
            self.base, precision="fp32", quantize="none"
        )
        self.model = tune_model.add_lora(plain, LoraConfig(r=4, alpha=8), TrainConfig(steps=1))
        torch.manual_seed(3)
        for name, weight in self.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
        self.model.eval()
        self.adapter = root / "adapter"
        self.model.save_pretrained(self.adapter)
        (self.adapter / "README.md").unlink()
        self.sign()

    def sign(self) -> None:
        """Papers for the adapter as it lies there."""
        base = {
            "name": self.entry.name,
            "digest": self.entry.digest,
            "licence": self.entry.licence,
        }
        said = {"recipe": "parity", "base": base}
        stamp(self.adapter, self.entry.digest, KEY, predicate=said)


def greedy(model: Any, prompt: Sequence[int]) -> tuple[list[int], Any]:
    """Tokens one after the other, each from a whole pass: nothing of any cache. And the last
    pass's logits, (tokens, vocabulary)."""
    import torch

    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(TOKENS):
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
            ids.append(int(logits[-1].argmax()))
    return ids[len(prompt) :], logits
