"""One row of logits to one token, with the parameters of that row's request and nobody else's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import torch

__all__ = ["Sampler", "Sampling"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """``temperature`` 0 is greedy. ``top_p`` keeps the smallest set of tokens with that mass."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


class Sampler:
    """Draws from its own generator, on the CPU: a seed means the same on every device."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator(device="cpu")
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._generator.manual_seed(seed)

    def __call__(self, logits: torch.Tensor) -> int:
        """The next token for ``logits``: one row, float32, on the CPU."""
        s = self._sampling
        if s.temperature == 0:
            return int(logits.argmax())
        # Subtracting the maximum first keeps tiny temperatures from overflowing to inf - inf.
        probs = torch.softmax((logits - logits.max()) / s.temperature, dim=-1)
        if s.top_p >= 1:
            return int(torch.multinomial(probs, 1, generator=self._generator))
        ordered, order = probs.sort(descending=True, stable=True)
        # A token stays if the mass before it is under top_p, so the first one always stays.
        ordered[ordered.cumsum(0) - ordered >= s.top_p] = 0
        return int(order[torch.multinomial(ordered, 1, generator=self._generator)])
