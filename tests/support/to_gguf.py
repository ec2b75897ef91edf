"""Writes a small Llama as GGUF, called as llama.cpp's converter is, which does not come with us.

Knows one architecture and tokenizers that cut text by bytes. Run by path: it imports nothing of
ours, and writes where it is told.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
from safetensors.numpy import load_file

SETTINGS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "head_count": "num_attention_heads",
    "head_count_kv": "num_key_value_heads",
    "layer_norm_rms_eps": "rms_norm_eps",
}


def interleaved(weight: Any, heads: int) -> Any:
    """llama.cpp turns pairs that lie side by side, transformers halves."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--outfile", type=Path, required=True)
    parser.add_argument("--outtype", choices=["f32"], required=True)
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    written = gguf.GGUFWriter(args.outfile, "llama")
    for key, name in SETTINGS.items():
        getattr(written, f"add_{key}")(config[name])
    written.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    written.add_vocab_size(config["vocab_size"])
    _tokenizer(args.model, written)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, weight in load_file(args.model / "model.safetensors").items():
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                weight = interleaved(weight, config[heads])
        written.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weight)
    written.write_header_to_file()
    written.write_kv_data_to_file()
    written.write_tensors_to_file()
    written.close()


def _tokenizer(model: Path, written: Any) -> None:
    said = json.loads((model / "tokenizer.json").read_text())
    about = json.loads((model / "tokenizer_config.json").read_text())
    vocabulary = said["model"]["vocab"] | {t["content"]: t["id"] for t in said["added_tokens"]}
    special = {t["content"] for t in said["added_tokens"]}
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    written.add_tokenizer_model("gpt2")
    written.add_tokenizer_pre("default")
    written.add_token_list(tokens)
    kinds = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    written.add_token_types([kinds[token not in special] for token in tokens])
    written.add_token_merges([" ".join(pair) for pair in said["model"]["merges"]])
    for kind in ("bos", "eos", "pad"):
        getattr(written, f"add_{kind}_token_id")(vocabulary[about[f"{kind}_token"]])
    written.add_chat_template((model / "chat_template.jinja").read_text())


if __name__ == "__main__":
    main()
