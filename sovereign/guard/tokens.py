"""Token ids: text in the numbers of one model's vocabulary.

With the model's own ``tokenizer.json`` at hand they are decoded, and the *text* is what goes on:
then it is what was read, whatever the numbers would have meant elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sovereign.errors import ConfigError, MissingExtra
from sovereign.types import JSON

__all__ = ["Tokenizers"]

MOST = 1_000_000


class Tokenizers:
    """Files by the name, or pattern, of the model they belong to; each is loaded when first
    used."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)
        self._loaded: dict[Path, Any] = {}

    def __repr__(self) -> str:
        return f"Tokenizers({len(self._files)} files)"

    def decoded(self, body: JSON, fields: frozenset[str]) -> JSON | None:
        """``body`` with text in place of the ids in ``fields``; ``None`` if they cannot be read."""
        file = self._file(str(body.get("model")))
        if file is None:
            return None
        tokenizer = self._load(file)
        out = dict(body)
        for name in fields & body.keys():
            value = body[name]
            if isinstance(value, list) and value:
                text = _texts(tokenizer, value)
                if text is None:
                    return None
                out[name] = text
        return out

    def _file(self, model: str) -> Path | None:
        for pattern, file in self._files.items():
            if fnmatchcase(model, pattern):
                return file
        return None

    def _load(self, file: Path) -> Any:
        if file not in self._loaded:
            try:
                from tokenizers import Tokenizer
            except ImportError:
                raise MissingExtra("tokenizers", "documents") from None
            try:
                self._loaded[file] = Tokenizer.from_file(str(file))
            except Exception as e:  # noqa: BLE001 - it raises the bare Exception
                raise ConfigError(f"{file}: no tokenizer.json ({type(e).__name__})") from None
        return self._loaded[file]


def _texts(tokenizer: Any, value: list[JSON]) -> JSON | None:
    """One list of ids is one text; a list of lists, or of texts and lists, stays a list."""
    if all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        size = tokenizer.get_vocab_size()
        if len(value) > MOST or not all(0 <= item < size for item in value):
            return None
        return str(tokenizer.decode(value, skip_special_tokens=False))
    out: list[JSON] = []
    for item in value:
        text = (
            item if isinstance(item, str) else _texts(tokenizer, item) if _is_list(item) else None
        )
        if text is None:
            return None
        out.append(text)
    return out


def _is_list(item: JSON) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(i, int) for i in item)
