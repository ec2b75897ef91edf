"""Which model file belongs to this version. Written by hand after scripts/train_tagger.py."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL", "MODEL_SHA256"]

MODEL: Final = "tagger.npz"
MODEL_SHA256: Final = "6131b0ee6ad18bb4e612df0a1cb018d44f28558e77d7bba62d928c939667f6d7"
