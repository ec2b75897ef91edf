"""Several adapters over one base, in one batch: each row answers with its own, and only with it.

The base is a real Llama of two layers with random weights.
"""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from sovereign.errors import ServeError
from sovereign.serve.engines import adapted
from sovereign.serve.engines.batch import Batcher
from sovereign.serve.engines.row import Done, Event, Job, Piece
from sovereign.serve.engines.sampling import Sampling
from sovereign.tune.adapter import effect_of


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of different rank over different layers."""
    made = {}
    for seed, (key, rank, targets) in enumerate(
        [("", 2, ["q_proj", "v_proj"]), ("b", 4, ["down_proj", "o_proj"])]
    ):
        torch.manual_seed(seed)
        model = get_peft_model(
            LlamaForCausalLM.from_pretrained(base), LoraConfig(r=rank, target_modules=targets)
        )
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.5)
        made[key] = tmp_path_factory.mktemp("adapter")
        model.save_pretrained(made[key])
    return made


def _answer(batcher: Batcher, slot: str, events: queue.Queue[Event]) -> None:
    job = Job([5, 6, 7, 8], 24, Sampling(temperature=0), (), events.put, adapter=slot)
    batcher.submit(job)


def _text(events: queue.Queue[Event]) -> str:
    text = ""
    while not isinstance(event := events.get(timeout=60), Done):
        assert isinstance(event, Piece)
        text += event.text
    return text


def _batcher(model: Any) -> Batcher:
    return Batcher(
        model, lambda ids: "".join(chr(0x100 + i) for i in ids), frozenset(), adapted=True
    )


def test_rows_of_one_batch_answer_with_their_own_adapter(
    base: Path, folders: dict[str, Path]
) -> None:
    """What each says among the others is what it says where it is the only adapter, or none."""
    alone = {}
    for key in (None, "", "b"):
        own = {} if key is None else {"": folders[key]}
        model, _ = adapted.load(LlamaForCausalLM.from_pretrained(base).eval(), own)
        out = model.generate(
            input_ids=torch.tensor([[5, 6, 7, 8]]),
            attention_mask=torch.ones(1, 4, dtype=torch.long),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        alone[key] = "".join(chr(0x100 + i) for i in out[0, 4:].tolist())
    assert len(set(alone.values())) == 3

    model, effects = adapted.load(LlamaForCausalLM.from_pretrained(base).eval(), folders)
    assert set(effects) == {"", "b"}
    batcher = _batcher(model)
    heard: dict[str | None, queue.Queue[Event]] = {k: queue.Queue() for k in (None, "", "b")}
    for key, events in heard.items():
        _answer(batcher, "" if key is None else adapted.slot(key), events)
    batcher.start()
    assert {key: _text(events) for key, events in heard.items()} == alone
    batcher.close()


def test_an_embedding_is_of_the_base(base: Path, folders: dict[str, Path]) -> None:
    """A vector that was stored must not move because a team trained an adapter."""
    model, _ = adapted.load(LlamaForCausalLM.from_pretrained(base).eval(), folders)
    plain = Batcher(LlamaForCausalLM.from_pretrained(base).eval(), str, frozenset())
    both = []
    for batcher in (_batcher(model), plain):
        batcher.start()
        both.append(batcher.embed([5, 6, 7]).result(timeout=60))
        batcher.close()
    assert both[0] == pytest.approx(both[1], abs=1e-6)
    assert sum(x * x for x in both[0]) == pytest.approx(1)


@pytest.mark.parametrize("broken", ["", "b"])
def test_one_adapter_without_effect_among_others_is_refused(
    base: Path, folders: dict[str, Path], broken: str, tmp_path: Path
) -> None:
    """The probe is of each, not of all together."""
    idle = get_peft_model(
        LlamaForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj"])
    )
    idle.save_pretrained(tmp_path)
    with pytest.raises(ServeError, match="no effect"):
        adapted.load(LlamaForCausalLM.from_pretrained(base).eval(), {**folders, broken: tmp_path})


def test_an_adapter_does_what_its_passport_says(base: Path, folders: dict[str, Path]) -> None:
    """Each is held against its own fingerprint; one without is served on what it has."""

    def said(key: str) -> dict[str, Any]:
        base_model = LlamaForCausalLM.from_pretrained(base).eval()
        model = PeftModel.from_pretrained(base_model, str(folders[key])).eval()
        return effect_of(model, quantized=False)

    told = {"": said(""), "b": said("b")}
    adapted.load(LlamaForCausalLM.from_pretrained(base).eval(), folders, told)
    in_bf16 = LlamaForCausalLM.from_pretrained(base, dtype=torch.bfloat16).eval()
    adapted.load(in_bf16, folders, {"b": told["b"]})
    for wrong in ({**told, "b": told[""]}, {**told, "": told["b"]}):
        with pytest.raises(ServeError, match="otherwise than its passport says"):
            adapted.load(LlamaForCausalLM.from_pretrained(base).eval(), folders, wrong)


def test_a_second_adapter_of_layers_that_are_not_there_is_refused(
    base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    """As the first one is."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(folders["b"], tmp_path / "c")
    file = tmp_path / "c" / "adapter_model.safetensors"
    save_file({k.replace("layers.1", "layers.7"): v for k, v in load_file(file).items()}, file)
    with pytest.raises(ServeError, match="cannot load"):
        adapted.load(
            LlamaForCausalLM.from_pretrained(base).eval(),
            {"": folders[""], "c": tmp_path / "c"},
        )


def test_a_dora_adapter_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    """A batch of several adapters cannot hold one; found before PEFT reads the weights."""
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "use_dora": true}')
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ServeError, match="merged into its base only") as caught:
        adapted._add(None, "x", tmp_path, first=True)
    assert "sovereign tune export" in caught.value.hint
