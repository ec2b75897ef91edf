"""An adapter is served only on the weights it was trained on, and only if it does something.

The base is a real Llama of two layers with random weights.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from sovereign.errors import ServeError
from sovereign.serve.engines import model as loader


def _tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "a": 2}, unk_token="<s>"))
    made: PreTrainedTokenizerBase = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>"
    )
    made.save_pretrained(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _tokenizer(folder)
    return folder


def _adapter(base: Path, folder: Path, *, trained: bool = True) -> Path:
    model = LlamaForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    for name, weight in adapted.named_parameters():
        if trained and "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    adapted.save_pretrained(folder)
    return folder


def test_a_base_loads_with_its_own_bounds(base: Path) -> None:
    """The context is the smaller of what was configured and what it was trained for."""
    loaded = loader.load(base, {}, dtype="float32", max_context=4096)
    assert (loaded.context, loaded.dtype, loaded.effects) == (128, "float32", {})
    assert loaded.eos == {1}
    assert loader.load(base, {}, dtype="bfloat16", max_context=50).context == 50


def test_an_adapter_that_was_trained_moves_logits(base: Path, tmp_path: Path) -> None:
    """The probe measures it."""
    adapter = _adapter(base, tmp_path / "a")
    assert loader.load(base, {"": adapter}, dtype="float32", max_context=64).effects[""] > 0.01


def test_an_adapter_without_effect_is_refused(base: Path, tmp_path: Path) -> None:
    """vllm#34186: it loads without a word, and everybody believes in it."""
    adapter = _adapter(base, tmp_path / "a", trained=False)
    with pytest.raises(ServeError, match="no effect"):
        loader.load(base, {"": adapter}, dtype="float32", max_context=64)


def test_an_adapter_of_layers_that_are_not_there_is_refused(base: Path, tmp_path: Path) -> None:
    """PEFT only warns, and serves the half that fits."""
    from safetensors.torch import load_file, save_file

    adapter = _adapter(base, tmp_path / "a")
    file = adapter / "adapter_model.safetensors"
    save_file({k.replace("layers.1", "layers.7"): v for k, v in load_file(file).items()}, file)
    with pytest.raises(ServeError, match="UserWarning"):
        loader.load(base, {"": adapter}, dtype="float32", max_context=64)


def test_an_adapter_with_numbers_that_are_none_is_refused(base: Path, tmp_path: Path) -> None:
    """A diverged run saves NaN happily."""
    from safetensors.torch import load_file, save_file

    adapter = _adapter(base, tmp_path / "a")
    file = adapter / "adapter_model.safetensors"
    save_file({k: v * float("nan") for k, v in load_file(file).items()}, file)
    with pytest.raises(ServeError, match="not numbers"):
        loader.load(base, {"": adapter}, dtype="float32", max_context=64)


def test_a_pickled_adapter_is_never_opened(base: Path, tmp_path: Path) -> None:
    """adapter_model.bin runs code when it is read."""
    adapter = _adapter(base, tmp_path / "a")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ServeError, match=r"no adapter_model\.safetensors"):
        loader.load(base, {"": adapter}, dtype="float32", max_context=64)


def test_a_model_whose_state_is_no_plain_cache_is_refused(tmp_path: Path) -> None:
    """Padding would leak into a recurrent state: wrong answers, without an error."""
    config = MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    _tokenizer(tmp_path)
    with pytest.raises(ServeError, match="plain attention caches"):
        loader.load(tmp_path, {}, dtype="float32", max_context=64)


def test_weights_that_cannot_be_loaded_are_one_line(tmp_path: Path) -> None:
    """A folder with a configuration and nothing else, and one with nothing at all."""
    with pytest.raises(ServeError, match="cannot load"):
        loader.load(tmp_path, {}, dtype="float32", max_context=64)
    GPT2Config().save_pretrained(tmp_path)
    _tokenizer(tmp_path)
    with pytest.raises(ServeError, match="cannot load"):
        loader.load(tmp_path, {}, dtype="float32", max_context=64)


def test_threads_are_those_that_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that contend are slower than one; none at all is not a choice."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(Path, "read_text", lambda _: "max 100000")
    for load, threads in ((0.1, 8), (3.2, 5), (50.0, 1)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert loader.choose_threads(0) == threads
    monkeypatch.setattr(Path, "read_text", lambda _: "200000 100000")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert loader.choose_threads(0) == 2
    assert loader.choose_threads(3) == 3
