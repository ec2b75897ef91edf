"""Which model file belongs to this version. Written by hand after scripts/train_tagger.py."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL", "MODEL_SHA256"]

MODEL: Final = "tagger.npz"
MODEL_SHA256: Final = "008d9d6088a4b04916c231c7730cb5df9f3c5d7df3296d82f0b771980e850bfa"
