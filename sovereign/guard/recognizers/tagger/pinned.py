"""Which model file belongs to this version. Written by hand after scripts/train_tagger.py."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL", "MODEL_SHA256"]

MODEL: Final = "tagger.npz"
MODEL_SHA256: Final = "883e059914bbd694fca46e415e403e491c4f5a0448ed44e31ea9d7282ed36d05"
