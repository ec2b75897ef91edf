"""Where records rest. One module per kind of storage; all offer what :mod:`..log` asks for."""

from __future__ import annotations

__all__: list[str] = []
