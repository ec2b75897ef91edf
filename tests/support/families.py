"""A tiny model of each family of recipes/models: its architecture with random weights, a tokenizer
of its kind, and a chat template that renders plain chats as the family's own does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["FAMILIES", "make_base"]

FAMILIES = ("chatml", "llama3", "mistral", "qwen3", "gemma3")
CORPUS = Path(__file__).resolve().parent / "corpus.md"

CHATML = """{% if messages[0].role != 'system' %}<|im_start|>system
You are a helpful assistant<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

LLAMA3 = """{{ bos_token }}{% set turns = messages %}{% set told = '' %}
{%- if messages[0].role == 'system' %}{% set told = messages[0].content | trim %}
{%- set turns = messages[1:] %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n' }}
{{- 'Today Date: 26 Jul 2024\\n\\n' + told + '<|eot_id|>' }}
{%- for m in turns %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

MISTRAL = """{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}
{{- '[INST] ' + m.content + '[/INST]' }}
{%- elif m.role == 'assistant' %}{{ ' ' + m.content | trim + eos_token }}
{%- endif %}{% endfor %}"""

# Only the last answer holds its (empty) thought; those before it are rendered without one. Tools
# and calls are written as Qwen3's own template writes them.
QWEN3 = """{%- if tools %}{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{% endif %}
{{- '# Tools\\n\\n<tools>' }}{% for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{% endfor %}
{{- '\\n</tools><|im_end|>\\n' }}
{%- endif %}
{%- for m in messages %}
{%- if m.role == 'tool' %}
{%- if messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
{{- '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{% endif %}
{%- elif m.role == 'system' and tools %}
{%- else %}{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' and loop.last %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{{- m.content }}
{%- for c in m.tool_calls or [] %}{% if m.content or not loop.first %}{{- '\\n' }}{% endif %}
{{- '<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' }}
{{- c.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}{{- '<|im_end|>\\n' }}
{%- endif %}{% endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

GEMMA3 = """{{ bos_token }}{% for m in messages %}
{%- set role = 'model' if m.role == 'assistant' else m.role %}
{{- '<start_of_turn>' + role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

# template, special tokens (bos, eos, end of turn, pad, others), whether text is cut by bytes
KINDS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "chatml": (CHATML, ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>"), True),
    "llama3": (
        LLAMA3,
        (
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|eot_id|>",
            "<|finetune_right_pad_id|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
        ),
        True,
    ),
    "mistral": (MISTRAL, ("<s>", "</s>", "</s>", "<unk>", "[INST]", "[/INST]"), False),
    "qwen3": (
        QWEN3,
        (
            "<|im_start|>",
            "<|im_end|>",
            "<|im_end|>",
            "<|endoftext|>",
            "<think>",
            "</think>",
            "<tool_call>",
            "</tool_call>",
        ),
        True,
    ),
    "gemma3": (
        GEMMA3,
        ("<bos>", "<eos>", "<end_of_turn>", "<pad>", "<start_of_turn>"),
        False,
    ),
}


def make_base(family: str, folder: Path, *, scale: int = 1) -> Path:
    """``folder`` as a model of ``family``, two layers deep, in fp32; ``scale`` times as wide."""
    import torch

    tokenizer, stops = _tokenizer(family)
    size = len(tokenizer)
    torch.manual_seed(11)
    made = _model(family, size, scale)
    with torch.no_grad():  # or a tied head would say the last token for ever
        made.get_input_embeddings().weight.mul_(0.02)
        for name, weight in made.named_parameters():
            if family == "gemma3" and "norm" in name:
                weight.normal_(std=0.5)
    made.generation_config.eos_token_id = stops
    made.generation_config.pad_token_id = tokenizer.pad_token_id
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: str) -> tuple[Any, list[int]]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    template, special, by_bytes = KINDS[family]
    if by_bytes:
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        inner = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        inner.normalizer = normalizers.Replace(" ", "\u2581")
        inner.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet = []
    unknown = [] if by_bytes else ["<unk>", *(f"<0x{b:02X}>" for b in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(dict.fromkeys([*special, *unknown])),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    text = CORPUS.read_text(encoding="utf-8")
    inner.train_from_iterator(text.split("\n\n"), trainer)
    bos, eos, end, pad, *more = special
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        additional_special_tokens=[t for t in dict.fromkeys([end, *more]) if t not in (bos, eos)],
        model_max_length=256,
    )
    tokenizer.chat_template = template
    return tokenizer, sorted({tokenizer.convert_tokens_to_ids(t) for t in (eos, end)})


def _model(family: str, size: int, scale: int) -> Any:
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    common: dict[str, Any] = {
        "vocab_size": size,
        "hidden_size": 32 * scale,
        "intermediate_size": 64 * scale,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.3 / scale**0.5,
    }
    if family == "mistral":
        return MistralForCausalLM(MistralConfig(**common, sliding_window=None))
    if family == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**common, head_dim=16 * scale))
    if family == "gemma3":
        kinds = ["sliding_attention", "full_attention"]
        more: dict[str, Any] = {"head_dim": 16 * scale, "sliding_window": 16, "layer_types": kinds}
        more["query_pre_attn_scalar"] = 1
        return Gemma3ForCausalLM(Gemma3TextConfig(**common | more))
    more = {"tie_word_embeddings": family == "chatml"}
    return LlamaForCausalLM(LlamaConfig(**common, **more))
