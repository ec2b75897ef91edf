"""Reads a model's papers off its own files: licence text, tokenizer, chat template, base model.

Only files of the folder are read, so everybody who holds the same bytes computes the same papers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from sovereign.weights.lock import Base, Entry, digest_of
from sovereign.weights.templates import chat_templates

__all__ = ["TOKENIZER_FILES", "is_licence", "with_papers"]

TOKENIZER_FILES = {
    "added_tokens.json", "merges.txt", "sentencepiece.bpe.model", "special_tokens_map.json",
    "spiece.model", "tokenizer.json", "tokenizer.model", "tokenizer.model.v3",
    "tokenizer_config.json", "vocab.json", "vocab.txt",
}  # fmt: skip


def with_papers(entry: Entry, folder: Path) -> Entry:
    """``entry``, whose files lie in ``folder``, with all that can be read off them.

    ``tokenizer`` is :func:`digest_of` the tokenizer's files; ``chat_template`` is SHA-256 over the
    canonical JSON of :func:`chat_templates`.
    """
    paths = [f.path for f in entry.files]
    tokenizer = [f for f in entry.files if f.path in TOKENIZER_FILES]
    licences = [f for f in entry.files if is_licence(f.path)]
    templates = chat_templates(folder, paths)
    return dataclasses.replace(
        entry,
        licence_sha256=min(licences, key=lambda f: f.path).sha256 if licences else None,
        tokenizer=digest_of(tokenizer) if tokenizer else None,
        chat_template=_hash(templates) if templates else None,
        base=_base(folder, paths),
    )


def is_licence(path: str) -> bool:
    """Whether ``path`` is a licence's text in the model's own folder."""
    stem = path.partition(".")[0].upper()
    return "/" not in path and stem in ("LICENSE", "LICENCE") and not path.endswith(".json")


def _base(folder: Path, paths: list[str]) -> Base | None:
    if "adapter_config.json" not in paths:
        return None
    data = json.loads((folder / "adapter_config.json").read_bytes())
    repo = data.get("base_model_name_or_path") if isinstance(data, dict) else None
    if not isinstance(repo, str) or not repo:
        return None
    revision = data.get("revision")
    return Base(repo, revision if isinstance(revision, str) and revision else None)


def _hash(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
