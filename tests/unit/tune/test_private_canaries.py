"""What differential privacy is for: a secret that one row held is no longer in the model."""

from __future__ import annotations

from typing import Any

import pytest

from sovereign.tune.canaries import draw, inserted
from sovereign.tune.data import encode
from sovereign.tune.memorization import Audit, Kept, losses_of, measure
from sovereign.tune.private import fit_private, spend
from sovereign.tune.recipe import LoraConfig, MemorizationConfig, PrivacyConfig, TrainConfig
from sovereign.tune.rows import Row

torch = pytest.importorskip("torch")

ROWS = [
    Row(
        n + 1,
        (
            {"role": "user", "content": f"Is form {1000 + n * 7} open?"},
            {"role": "assistant", "content": "It is open on weekdays."},
        ),
    )
    for n in range(60)
]


class Decoder:
    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def _tuned(letters: Any, epsilon: float | None) -> tuple[Kept, float, float]:
    """What a tiny model kept of six canaries that one row each held; the loss on the other rows
    before and after."""
    from accelerate import Accelerator
    from transformers import LlamaConfig, LlamaForCausalLM

    from sovereign.tune.model import add_lora
    from sovereign.tune.train import fit

    torch.manual_seed(0)
    sizes = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    base = LlamaForCausalLM(LlamaConfig(**sizes, **heads, initializer_range=0.1))
    canaries = draw((0, 1), 6, seed=1)
    train = TrainConfig(steps=160, batch=12, lr=0.008, warmup=0.1, schedule="constant", seed=3)
    model = add_lora(base, LoraConfig(r=16, alpha=32), train).eval()
    data = encode([*ROWS, *inserted(canaries)], letters, where="rows", max_length=200)
    before = sum(losses_of(model, letters, ROWS)) / len(ROWS)
    more = {"pad": 0, "accelerator": Accelerator(cpu=True), "progress": lambda update: None}
    if epsilon is None:
        fit(model, data, train, **more)
    else:
        spent = spend(PrivacyConfig(epsilon=epsilon), train, data)
        # The same noise each time, or this test would fail once in a while.
        fit_private(model, data, train, spent, entropy=lambda size: b"\1" * size, **more)
    after = sum(losses_of(model, letters, ROWS)) / len(ROWS)
    config = MemorizationConfig(candidates=60)
    audit = Audit(model, Decoder(), letters, model.disable_adapter, config, 3)
    return measure(audit, canaries, ROWS, [], []), before, after


def test_at_epsilon_eight_a_secret_of_one_row_is_no_longer_exposed(letters: Any) -> None:
    """Trained plainly, all six secrets rank first among sixty (p < 0.01). With the same rows,
    steps and rate at epsilon 8, they cannot be told from secrets that were never inserted, while
    the loss of what many rows say falls."""
    plain, _, _ = _tuned(letters, None)
    assert plain.p is not None
    assert plain.p < 0.01
    assert plain.exposures[1].mean == pytest.approx(5.93, abs=0.01)
    private, before, after = _tuned(letters, 8)
    assert private.p is not None
    assert private.p > 0.01
    assert private.exposures[1].mean < 3
    assert after < before / 2
