"""An adapter that does nothing is no result: the check that a run ends with, on a tiny model."""

from __future__ import annotations

from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.adapter import check
from sovereign.tune.data import Example

EXAMPLE = Example(1, (1, 2, 3, 4), (-100, 2, 3, 4))


@pytest.fixture
def model() -> Any:
    torch = pytest.importorskip("torch")
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )
    return get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"])).eval()


def _fill(model: Any, size: float, only: str = "") -> None:
    import torch

    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name and only in name:
            torch.nn.init.normal_(weight, std=size)


def test_a_planted_run_that_trained_nothing_fails(model: Any) -> None:
    """Loss and epsilon can look right all the same (opacus#820)."""
    with pytest.raises(TuneError, match="2 of 2 updates are still zero"):
        check(model, EXAMPLE)


def test_one_update_that_stayed_zero_fails(model: Any) -> None:
    """Half of a model that learns is a mistake in lora.target, or worse."""
    _fill(model, 1.0, only="q_proj")
    with pytest.raises(TuneError, match="1 of 2 updates are still zero"):
        check(model, EXAMPLE)


def test_updates_that_move_no_logit_fail(model: Any) -> None:
    """Weights that changed by rounding are no training."""
    _fill(model, 1e-9)
    with pytest.raises(TuneError, match="logits did not move"):
        check(model, EXAMPLE)


def test_a_real_update_passes_with_its_size(model: Any) -> None:
    """For the record."""
    _fill(model, 1.0)
    done = check(model, EXAMPLE)
    assert done["weight_delta"] > 0.1
    assert done["logits_moved"] > 1e-4
