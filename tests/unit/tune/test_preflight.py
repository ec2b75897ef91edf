"""The memory plan against numbers that others published."""

from __future__ import annotations

import json

import pytest

from sovereign import recipes
from sovereign.errors import ConfigError
from sovereign.tune.preflight import Knobs, fitting, need
from sovereign.tune.recipe import find_recipe, load_recipe
from sovereign.weights.dims import dims_of, model_card, parse_memory
from sovereign.weights.store import Store

GB = 1e9


def knobs(**changes: object) -> Knobs:
    base: dict[str, object] = {
        "batch": 1,
        "max_length": 512,
        "r": 16,
        "target": "all-linear",
        "precision": "bf16",
        "quantize": "none",
        "checkpointing": True,
    }
    return Knobs(**(base | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Sums of the tensor shapes in each repository's safetensors index, as the Hub shows them.
        ("smollm2-135m-instruct", 134_515_008),
        ("llama-3.1-8b-instruct", 8_030_261_248),
        ("mistral-7b-instruct-v0.3", 7_248_023_552),
        ("qwen3-8b", 8_190_735_360),
        ("gemma-3-1b-it", 999_885_952),
    ],
)
def test_parameters_are_counted_to_the_last_one(name: str, parameters: int) -> None:
    """If dimensions give the published count exactly, they are the right ones."""
    assert model_card(name).dims.parameters == parameters


def test_every_model_recipe_says_where_it_comes_from_and_under_what_terms() -> None:
    """And no revision is invented: it is a commit, or empty."""
    for name in recipes.names("models"):
        card = model_card(name)
        assert card.name == name
        assert card.licence
        assert card.revision == "" or len(card.revision) == 40
        assert card.gated == (card.licence in ("llama3.1", "gemma"))


def test_trainable_parameters_are_those_that_peft_prints() -> None:
    """LoRA of rank 16 on all linear maps of Llama-3-8B: 41,943,040, as in Unsloth's notebooks."""
    assert need(model_card("llama-3.1-8b-instruct").dims, knobs()).trainable == 41_943_040


@pytest.mark.parametrize(
    ("quantize", "published"),
    # huggingface.co/blog/llama31, "Training memory requirements": LoRA 16 GB, QLoRA 6 GB for 8B.
    [("none", 16), ("nf4", 6)],
)
def test_weights_and_adapter_are_near_the_published_need(quantize: str, published: int) -> None:
    """Within a tenth, for what does not depend on batch and length."""
    counted = need(model_card("llama-3.1-8b-instruct").dims, knobs(quantize=quantize))
    fixed = counted.weights + counted.adapter + counted.gradients + counted.optimizer
    assert fixed / GB == pytest.approx(published, rel=0.1)


def test_every_knob_turns_the_right_way() -> None:
    """Each of them needs less, and none changes what it should not."""
    dims = model_card("llama-3.1-8b-instruct").dims
    start = need(dims, knobs(batch=4, checkpointing=False))
    assert need(dims, knobs(batch=4)).activations < start.activations / 5
    assert need(dims, knobs(batch=2, checkpointing=False)).logits == start.logits / 2
    assert (
        need(dims, knobs(batch=4, checkpointing=False, quantize="nf4")).weights < start.weights / 2
    )
    assert need(dims, knobs(r=8)).trainable * 2 == need(dims, knobs()).trainable
    assert need(dims, knobs(target=("q_proj",))).trainable == 32 * 16 * 8192
    assert need(dims, knobs(precision="fp32")).weights == 2 * start.weights


def test_the_hint_is_the_fewest_turns_that_fit() -> None:
    """None where it fits, a list that can be pasted where it can, and nothing where it cannot."""
    dims = model_card("llama-3.1-8b-instruct").dims
    recipe = load_recipe(find_recipe("tune/lora_llama31_8b"))
    assert fitting(dims, Knobs.of(recipe), 80 * GB) == ([], need(dims, Knobs.of(recipe)))
    found = fitting(dims, Knobs.of(recipe), 16 * GB)
    assert found is not None
    assert "train.quantize=nf4" in found[0]
    turned = load_recipe(find_recipe("tune/lora_llama31_8b"), found[0])
    assert need(dims, Knobs.of(turned)) == found[1]
    assert found[1].total <= 16 * GB
    assert fitting(dims, Knobs.of(recipe), 4 * GB) is None


def test_a_whole_model_takes_sixteen_bytes_for_each_weight() -> None:
    """Weights, gradients and two moments in fp32: 2.2 GB for 135M (Rajbhandari et al. 2020, ZeRO,
    count the same); and the hint is an update in place of it."""
    dims = model_card("smollm2-135m-instruct").dims
    counted = need(dims, knobs(method="full", precision="fp32"))
    fixed = counted.weights + counted.adapter + counted.gradients + counted.optimizer
    assert fixed == 16 * dims.parameters
    assert counted.trainable == dims.parameters
    large = model_card("llama-3.1-8b-instruct").dims
    found = fitting(large, knobs(method="full"), 40 * GB)
    assert found is not None
    assert found[0] == ["train.method=lora"]


def test_dora_takes_more_than_lora_and_eight_bits_lie_between_four_and_sixteen() -> None:
    """A length for each output is trained too: 1.3 million on all maps of Llama-3.1-8B."""
    dims = model_card("llama-3.1-8b-instruct").dims
    outputs = 32 * (4096 * 3 + 1024 * 2 + 14336 * 2)
    assert need(dims, knobs(kind="dora")).trainable - need(dims, knobs()).trainable == outputs
    assert need(dims, knobs(kind="dora")).activations > need(dims, knobs()).activations
    sizes = [need(dims, knobs(quantize=q)).weights for q in ("nf4", "int8", "none")]
    assert sizes == sorted(sizes)
    assert sizes[1] / GB == pytest.approx(9.2, rel=0.05)  # 8.03 in bytes, embeddings in bf16


def test_amounts_of_memory_are_read_as_people_write_them() -> None:
    """And nonsense is refused."""
    assert parse_memory("24GB") == 24e9
    assert parse_memory("16 GiB") == 16 * 2**30
    assert parse_memory("900mb") == 9e8
    for bad in ["", "GB", "-1GB", "24XB", "0GB", "1e9"]:
        with pytest.raises(ConfigError):
            parse_memory(bad)


@pytest.mark.model
def test_the_shipped_dimensions_are_those_of_the_real_model(model_store: Store) -> None:
    """The recipe in recipes/models and the imported config.json agree."""
    folder = model_store.folder(model_store.entry("smollm2-135m-instruct"))
    config = json.loads((folder / "config.json").read_text())
    assert dims_of(config) == model_card("smollm2-135m-instruct").dims


def test_an_unknown_architecture_is_said_to_be_unknown() -> None:
    """Rather than counted wrongly."""
    with pytest.raises(ConfigError, match="plain decoder"):
        dims_of({"model_type": "mamba"})
