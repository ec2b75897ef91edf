"""A labelled text under construction. Labels are masks: bit i for ``LABELS[i]``."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Text"]


@dataclass(slots=True)
class Text:
    """A text under construction."""

    text: str = ""
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    lang: str = "en"

    def add(self, piece: str, mask: int = 0) -> None:
        """Append ``piece``; with a mask, as a span."""
        if mask and piece:
            self.spans.append((len(self.text), len(self.text) + len(piece), mask))
        self.text += piece
