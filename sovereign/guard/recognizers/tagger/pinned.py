"""Which model file belongs to this version. Written by hand after scripts/train_tagger.py."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL", "MODEL_SHA256"]

MODEL: Final = "tagger.npz"
MODEL_SHA256: Final = "ddc0f9ebb9d2efc93b874c5e0c46ebe8d5812d50fa64cb5a4fe9204bcee381ae"
