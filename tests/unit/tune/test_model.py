"""The update that a recipe names is the one that is trained. On a tiny random model."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.adapter import check
from sovereign.tune.data import Dataset, Example
from sovereign.tune.model import add_lora
from sovereign.tune.recipe import LoraConfig, TrainConfig

ROWS = tuple(Example(i, (i % 13, 2, 3, 4), (-100, 2, 3, 4)) for i in range(1, 9))
TRAIN = TrainConfig(steps=3, batch=4, lr=0.01)


def _base() -> Any:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )


@pytest.mark.parametrize(("kind", "scale"), [("lora", 8 / 4), ("rslora", 8 / math.sqrt(4))])
def test_each_kind_trains_scales_as_its_paper_says_and_moves_logits(
    kind: Any, scale: float
) -> None:
    """And the loss falls."""
    from accelerate import Accelerator

    from sovereign.tune.train import fit

    model = add_lora(_base(), LoraConfig(r=4, alpha=8, kind=kind), TRAIN)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == pytest.approx(scale)
    done = fit(
        model,
        Dataset(ROWS),
        TRAIN,
        pad=0,
        accelerator=Accelerator(cpu=True),
        progress=lambda update: None,
    )
    assert done.loss_last < done.loss_first
    assert check(model, ROWS[0])["logits_moved"] > 1e-4


def test_a_target_that_is_not_there_is_named_as_the_recipe_names_it() -> None:
    """Before a step is made."""
    with pytest.raises(TuneError, match=r"lora\.target names modules"):
        add_lora(_base(), LoraConfig(target=("c_attn",)), TRAIN)
