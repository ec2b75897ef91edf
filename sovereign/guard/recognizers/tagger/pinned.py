"""Which model file belongs to this version. Written by hand after scripts/train_tagger.py."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL", "MODEL_SHA256"]

MODEL: Final = "tagger.npz"
MODEL_SHA256: Final = "aeeb325d6df5477a3b54049319be0c386002953bb122c596a2589656b79f58fe"
